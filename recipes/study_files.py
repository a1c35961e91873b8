"""Study files: found, read as YAML, and merged with the study that one `extends`.

A study that extends another names only what differs: mappings are merged key by key, at any depth,
and anything else (a number, a list, null) takes the other's place.
"""

import copy
import difflib
import operator
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from curricle.core.errors import InputError

CATALOG = Path(__file__).parent / "catalog"
EXTENDS = "extends"

Location = tuple[int | str, ...]


@dataclass(frozen=True)
class StudyFile:
    """One file's own keys, without what it extends."""

    path: Path
    tree: CommentedMap

    def find(self, location: Location) -> tuple[int, int]:
        """How many parts of `location` the file has, and the line of the last of these."""
        line, depth, node = 0, 0, self.tree
        for part in location:
            try:
                is_key = isinstance(node, CommentedMap)
                line = (node.lc.key(part) if is_key else node.lc.item(part))[0]
                node = node[part]
            except (KeyError, AttributeError, TypeError, IndexError):
                break
            depth += 1
        return depth, line + 1


def catalog_names() -> list[str]:
    """Names of the studies that ship with the package."""
    return sorted(path.stem for path in CATALOG.glob("*.yaml"))


def read_study_files(study: str) -> list[StudyFile]:
    """The file that `study` names, the one it extends, and so on.

    Raises InputError for a file that isn't there or is no YAML mapping, and for files in a circle.
    """
    files: list[StudyFile] = []
    path: Path | None = study_path(study)
    while path is not None:
        if any(path.samefile(file.path) for file in files):
            raise InputError(
                f"{files[-1].path}: extends {path}, which extends it in turn",
                expected="a study that stands without this one",
                fix="remove one of the two",
            )
        files.append(StudyFile(path, _read_yaml(path)))
        path = _extended(files[-1])
    return files


def merged(files: Sequence[StudyFile]) -> CommentedMap:
    """All keys of the files; of a key that several have, the first file's value counts."""
    tree = CommentedMap()
    for file in reversed(files):
        _merge(tree, file.tree)
    tree.pop(EXTENDS, None)
    return tree


def place_of(files: Sequence[StudyFile], location: Location) -> str:
    """File and line of a key: the first file that has the most of its path."""
    found = [(*file.find(location), file.path) for file in files]
    _, line, path = max(found, key=operator.itemgetter(0))
    return f"{path}:{line}"


def study_path(study: str, beside: Path | None = None) -> Path:
    """The file that `study` means: a path (from the folder `beside`), or a shipped study's name.

    Raises InputError if there is none.
    """
    if (path := (beside or Path()) / study).is_file():
        return path
    if (shipped := CATALOG / f"{study}.yaml").is_file():
        return shipped
    names = catalog_names()
    raise InputError(
        f"study {study!r}: no such file",
        expected=f"a YAML file, or one of the shipped studies: {', '.join(names)}",
        fix=suggest(study, names) or "check the path",
    )


def suggest(word: str, known: Sequence[str]) -> str | None:
    """The known word that was probably meant, as a question."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else None


def _extended(file: StudyFile) -> Path | None:
    if EXTENDS not in file.tree:
        return None
    name = file.tree[EXTENDS]
    where = f"{file.path}:{file.find((EXTENDS,))[1]}: {EXTENDS}"
    if not isinstance(name, str):
        raise InputError(
            f"{where}: {name!r}", expected="a study's path or name", fix="correct the value"
        )
    try:
        return study_path(name, file.path.parent)
    except InputError as error:
        raise InputError(
            f"{where}: {error.found}", expected=error.expected, fix=error.fix
        ) from None


def _merge(tree: CommentedMap, changes: CommentedMap) -> None:
    for key, value in changes.items():
        known = tree.get(key)
        if isinstance(known, CommentedMap) and isinstance(value, CommentedMap):
            _merge(known, value)
        else:
            tree[key] = copy.deepcopy(value)


def _read_yaml(path: Path) -> CommentedMap:
    try:
        tree = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except DuplicateKeyError as error:
        raise _duplicate_key(error, path) from None
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        line = error.problem_mark.line + 1 if _has_mark(error) else 1
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{path}:{line}: {problem}", expected="YAML", fix="correct it") from None
    if not isinstance(tree, CommentedMap):
        raise InputError(f"{path}: no keys", expected="a study", fix="see recipes/catalog")
    return tree


def _has_mark(error: Exception) -> typing.TypeGuard[Any]:
    return isinstance(error, MarkedYAMLError) and error.problem_mark is not None


def _duplicate_key(error: DuplicateKeyError, path: Path) -> InputError:
    mark = error.problem_mark
    line = mark.line + 1 if mark else 1
    key = path.read_text(encoding="utf-8").splitlines()[line - 1].split(":")[0].strip()
    return InputError(
        f"{path}:{line}: {key!r} is given twice",
        expected="each name once",
        fix="rename or remove one of the two",
    )
