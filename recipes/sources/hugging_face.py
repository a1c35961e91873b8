"""Documents of a Hugging Face dataset: on the hub, or as `datasets` saved it; without `datasets`.

Nothing is unpickled: a saved dataset is Arrow streams and JSON, one on the hub is files of rows.
"""

import json
import re
from typing import Any

from curricle.core.errors import InputError
from curricle.core.remote import remote_errors
from curricle.recipes.sources.files import identity_of_files, known_files
from curricle.recipes.sources.source_files import SourceFile, damaged, find_files
from curricle.recipes.specs.sources import HuggingFaceSource

SPLITS, STATE = "dataset_dict.json", "state.json"


def identity(source: HuggingFaceSource) -> dict[str, Any]:
    """What decides the source's content: columns, split, and each file's name, size and content."""
    return identity_of_files(source, files_of(source))


def files_of(source: HuggingFaceSource) -> list[SourceFile]:
    """The files to read, in their order. Raises InputError for a split that isn't there."""
    found = find_files(source.path)
    by_name = {file.name: file for file in found}
    if SPLITS in by_name:
        splits = list(_json(by_name[SPLITS], "splits"))
        state = f"{_chosen(source, splits)}/{STATE}"
        return _saved_files(source, by_name, state)
    if STATE in by_name:
        return _saved_files(source, by_name, STATE)
    known = known_files(source.path, [file for file in found if not _is_card(file)])
    return known if source.split is None else _named_after(source, known)


def _is_card(file: SourceFile) -> bool:
    """Whether the file describes the dataset rather than being a text of it."""
    return file.name.rpartition("/")[2].lower() == "readme.md"


def _saved_files(
    source: HuggingFaceSource, by_name: dict[str, SourceFile], state: str
) -> list[SourceFile]:
    """The Arrow files of one saved split, in the order in which the state lists them."""
    if state not in by_name:
        raise _not_saved(source, f"no {state}")
    if _json(by_name[state], "_indices_data_files", optional=True):
        raise InputError(
            f"{source.path}: saved with an index that picks and reorders its rows",
            expected="a dataset saved as it is read",
            fix="call flatten_indices() before save_to_disk",
        )
    folder = state.removesuffix(STATE)
    names = [folder + entry["filename"] for entry in _json(by_name[state], "_data_files")]
    if missing := [name for name in names if name not in by_name]:
        raise _not_saved(source, f"{missing[0]} is missing")
    return [by_name[name] for name in names]


def _chosen(source: HuggingFaceSource, splits: list[str]) -> str:
    if source.split is None and len(splits) == 1:
        return splits[0]
    if source.split in splits:
        return source.split
    raise InputError(
        f"{source.path}: split {source.split or '(none given)'}",
        expected=f"one of {', '.join(splits)}",
        fix="give one of them as split",
    )


def _named_after(source: HuggingFaceSource, files: list[SourceFile]) -> list[SourceFile]:
    """The files whose path has the split as a word of its own, as `datasets` finds them."""
    word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(source.split or '')}(?![A-Za-z0-9])")
    chosen = [file for file in files if word.search(file.name)]
    if not chosen:
        raise InputError(
            f"{source.path}: no file named after split {source.split!r}",
            expected=f"files such as {files[0].name}",
            fix="correct split, or choose the files by a glob in path",
        )
    return chosen


def _json(file: SourceFile, key: str, *, optional: bool = False) -> Any:
    try:
        with remote_errors(), file.open() as stream:
            content = json.load(stream)
        return content.get(key) if optional else content[key]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(file.address, 0, error) from None


def _not_saved(source: HuggingFaceSource, found: str) -> InputError:
    return InputError(
        f"{source.path}: {found}",
        expected="a whole folder that save_to_disk wrote",
        fix="copy or save the dataset again",
    )
