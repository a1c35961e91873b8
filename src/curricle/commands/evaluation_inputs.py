"""What the evaluations of the command line are given: a model, its tokenizer, held-out text."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import fsspec

from curricle.commands.stored import find_stored, tokenizer_of
from curricle.core.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from curricle.models.documents import Text

TEXT, DOMAIN, ID = "text", "domain", "id"


@dataclass(frozen=True)
class ModelFolder:
    """A model's folder and the tokenizer it reads with."""

    path: Path
    tokenizer: "Tokenizer"

    @property
    def end_of_text(self) -> int:
        """The token that stands where a text begins.

        Hugging Face's configuration names it, as `bos_token_id` or else `eos_token_id`; in our own
        vocabularies it is known by its name. Raises InputError if there is none.
        """
        from curricle.core.tokenizer_file import END_OF_TEXT, find_end_of_text
        from curricle.models.huggingface.files import CONFIG, read_json

        config = self.path / CONFIG
        named = read_json(config) if config.is_file() else {}
        for value in (named.get("bos_token_id"), named.get("eos_token_id")):
            first = value[0] if isinstance(value, list) and value else value
            if isinstance(first, int):
                return first
        index = find_end_of_text(self.tokenizer)
        if index is None:
            raise InputError(
                f"tokenizer of {self.path}: no end-of-text token",
                expected=f"bos_token_id in config.json, or one of {', '.join(END_OF_TEXT)}",
                fix="give the tokenizer that the model was trained with",
            )
        return index


def open_model(address: str, tokenizer: Path | None) -> ModelFolder:
    """The model at `address`: a checkpoint in a store, or any folder that holds a model.

    The tokenizer is the given one, that of the checkpoint's data, or the folder's own.
    """
    from curricle.core.store import RECORD
    from curricle.models.loading import load_model_tokenizer

    folder = Path(address)
    words = tokenizer or folder
    if "://" in address or (folder / RECORD).is_file():
        store, artifact = find_stored(address, "checkpoint")
        folder = store.folder(artifact)
        words = tokenizer or store.folder(tokenizer_of(store, artifact))
    elif not folder.is_dir():
        raise InputError(
            f"model {address}: no such folder",
            expected="a checkpoint in a store, or a Hugging Face folder",
            fix="correct --model",
        )
    return ModelFolder(folder, load_model_tokenizer(words))


def held_out_dataset(
    data: str, model: ModelFolder, tokens_per_domain: int | None, folder: Path
) -> Path:
    """The dataset that `data` names, or one written into `folder` from the texts it names.

    Texts are tokenized with the model's tokenizer, each document by itself, at most
    `tokens_per_domain` tokens of each domain.
    """
    from curricle.core.store import RECORD
    from curricle.core.token_dataset import MANIFEST, DatasetWriter, TokenizedDocument
    from curricle.models.documents import text_documents

    if "://" in data or (Path(data) / RECORD).is_file():
        store, artifact = find_stored(data, "dataset")
        _check_tokenizer(store.folder(tokenizer_of(store, artifact)), model)
        return store.folder(artifact)
    if (Path(data) / MANIFEST).is_file():
        return Path(data)
    documents = text_documents(_read_texts(data), model.tokenizer, tokens_per_domain)
    folder.mkdir(parents=True, exist_ok=True)
    size = model.tokenizer.get_vocab_size()
    writer = DatasetWriter(folder, vocabulary_size=size, end_of_text=model.end_of_text)
    for domain in sorted({document.domain for document in documents}):
        members = [document for document in documents if document.domain == domain]
        writer.write_domain(
            domain,
            [TokenizedDocument(x.name, data, x.bytes, x.tokens.tolist()) for x in members],
        )
    writer.finish()
    return folder


def _check_tokenizer(stored: Path, model: ModelFolder) -> None:
    """Refuse a dataset in another tokenizer's tokens, which the model would take for its own."""
    from curricle.models.loading import load_model_tokenizer

    words = load_model_tokenizer(stored).get_vocab(with_added_tokens=False)
    if words != model.tokenizer.get_vocab(with_added_tokens=False):
        raise InputError(
            f"data in the tokens of {stored}",
            expected=f"those of the tokenizer that {model.path} reads with",
            fix="give texts, or the model's own data",
        )


def _read_texts(data: str) -> "list[Text]":
    """Texts of Parquet, JSON Lines or text files, with `domain` and `id` where they have them.

    Those that can't be used are counted on standard error. Raises InputError for a domain of which
    nothing is left.
    """
    from curricle.models.documents import Text
    from curricle.recipes.documents import Drops
    from curricle.recipes.sources import read_source
    from curricle.recipes.sources.files import known_files
    from curricle.recipes.specs.sources import FilesSource

    columns = _columns([Path(file.path) for file in known_files(data)])
    place: dict[str, Any] = {"domain_column": DOMAIN} if DOMAIN in columns else {"domain": TEXT}
    id_column = ID if ID in columns else None
    source = FilesSource(source="files", path=data, id_column=id_column, **place)
    drops = Drops()
    texts = [Text(found.domain, found.id, found.text) for found in read_source(source, 0, drops)]
    if not texts:
        raise InputError(
            f"data {data}: no usable text",
            expected="documents that are not empty",
            fix="give other --data",
        )
    _tell_dropped(data, drops.to_plain(), {text.domain for text in texts})
    return texts


def _tell_dropped(data: str, dropped: Mapping[str, Mapping[str, int]], kept: set[str]) -> None:
    from curricle.recipes.sources.files import UNKNOWN_DOMAIN

    named = {domain for domains in dropped.values() for domain in domains}
    if lost := sorted(named - kept - {UNKNOWN_DOMAIN}):
        raise InputError(
            f"data {data}: no usable text in domain {lost[0]!r}",
            expected="at least one token of text in each domain",
            fix="give it text, or leave its rows out",
        )
    if dropped:
        counts = (f"{sum(domains.values()):,} {reason}" for reason, domains in dropped.items())
        click.echo(f"{data}: not used: {', '.join(counts)}", err=True)


def _columns(files: Sequence[Path]) -> set[str]:
    """Column names of the first file that has any."""
    import pyarrow.parquet as pq

    readers = {".parquet": lambda file: pq.read_schema(file).names, ".jsonl": _keys, ".gz": _keys}
    for file in files:
        if file.suffix in readers:
            try:
                return set(readers[file.suffix](file))
            except (OSError, ValueError):
                return set()  # whoever reads it says what is wrong
    return set()


def _keys(path: Path) -> list[str]:
    """Keys of the first of a file's JSON lines."""
    with fsspec.open(str(path), "rt", encoding="utf-8", compression="infer") as lines:
        row = json.loads(next(lines, "{}"))
    return list(row) if isinstance(row, dict) else []
