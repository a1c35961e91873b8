"""The installed Python packages as a corpus: six domains, offline, the same on equal machines.

Files are visited in the order of a salted hash of their name, a random sample over packages that
doesn't depend on where they are installed; a domain is closed by the document that reaches its
cap, and nothing more is read for it.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from curricle.recipes.documents import Document, Drops, unusable_reason
from curricle.recipes.sources.docstrings import docstrings_of
from curricle.recipes.sources.installed import (
    InstalledFile,
    distinct_files,
    installed_distributions,
)
from curricle.recipes.sources.package_files import (
    MAXIMUM_CHARACTERS,
    MAXIMUM_SHARE_OF_CAP,
    MINIMUM_CHARACTERS,
    description_of,
    kind_of_path,
    parts_of,
    unwanted_reason,
)
from curricle.recipes.specs.sources import (
    DOCSTRINGS,
    DOMAINS,
    PYTHON,
    PythonEnvironmentSource,
)


def identity(source: PythonEnvironmentSource) -> dict[str, Any]:
    """What decides the source's content: the cap, and each distribution's version and file hashes.

    The hashes are those of the RECORDs; files edited after their installation go unnoticed.
    """
    distributions = installed_distributions(source.packages, _is_wanted)
    return {
        "source": source.source,
        "megabytes_per_domain": source.megabytes_per_domain,
        "distributions": [[one.name, one.version, one.digest] for one in distributions],
    }


def read(source: PythonEnvironmentSource, seed: int, drops: Drops) -> Iterator[Document]:
    """Documents of 200 to 20,000 characters, until each domain holds its cap of UTF-8 bytes.

    Files above that length are cut at line ends into parts, of which as many are read as fit into
    a tenth of the cap, at least one. A document's group is its file, so that docstrings stay with
    the code around them.
    """
    quota = _Quota(source.megabytes_per_domain)
    by_kind: dict[str, list[InstalledFile]] = {domain: [] for domain in DOMAINS}
    for file in distinct_files(installed_distributions(source.packages, _is_wanted)):
        kind = kind_of_path(file.path)
        assert kind is not None
        by_kind[kind].append(file)
    for kind, files in by_kind.items():
        yield from _read_kind(kind, files, quota, seed, drops)


def python_files(source: PythonEnvironmentSource, seed: int) -> list[InstalledFile]:
    """All Python files of the environment in the order in which `read` visits them."""
    wanted = installed_distributions(source.packages, lambda path: kind_of_path(path) == PYTHON)
    return _sampling_order(distinct_files(wanted), seed)


def decode(content: bytes) -> str:
    """UTF-8, with or without a byte-order mark. Raises UnicodeDecodeError."""
    return content.decode("utf-8-sig")


class _Quota:
    """How many bytes each domain still takes, and how many parts of one file."""

    def __init__(self, megabytes: float) -> None:
        self._left = dict.fromkeys(DOMAINS, megabytes * 1e6)
        self.parts = max(1, int(MAXIMUM_SHARE_OF_CAP * megabytes * 1e6 / MAXIMUM_CHARACTERS))

    def is_open(self, domain: str) -> bool:
        return self._left[domain] > 0

    def take(self, document: Document) -> None:
        self._left[document.domain] -= len(document.text.encode())


def _is_wanted(path: str) -> bool:
    return kind_of_path(path) is not None


def _sampling_order(files: Iterable[InstalledFile], seed: int) -> list[InstalledFile]:
    def place(file: InstalledFile) -> bytes:
        return hashlib.sha256(f"{seed}/sample\0{file.key}".encode()).digest()

    return sorted(files, key=place)


def _read_kind(
    kind: str, files: Iterable[InstalledFile], quota: _Quota, seed: int, drops: Drops
) -> Iterator[Document]:
    domains = (PYTHON, DOCSTRINGS) if kind == PYTHON else (kind,)
    for file in _sampling_order(files, seed):
        still_open = [domain for domain in domains if quota.is_open(domain)]
        if not still_open:
            return
        for piece in _pieces_of(kind, file, still_open, drops):
            for document in _cut(piece, file.key, quota.parts, drops):
                if quota.is_open(document.domain):
                    quota.take(document)
                    yield document


class _Piece(NamedTuple):
    """Text that may have to be cut, and what its documents are called."""

    domain: str
    source: str
    text: str


def _pieces_of(
    kind: str, file: InstalledFile, domains: Iterable[str], drops: Drops
) -> Iterator[_Piece]:
    """What one file holds for `domains`; what can't be a document is counted in `drops`."""
    text, reason = _text_of(kind, file)
    if reason:
        drops.add(reason, kind)
        return
    if kind in domains:
        yield _Piece(kind, file.key, text)
    if DOCSTRINGS in domains:
        yield from _docstring_pieces(file, text, drops)


def _text_of(kind: str, file: InstalledFile) -> tuple[str, str | None]:
    """The file's text, and why it can't be used, if so."""
    try:
        text = decode(file.read_bytes())
    except UnicodeDecodeError:
        return "", "invalid-utf8"
    except OSError:
        return "", "unreadable-file"
    if file.path.endswith("/METADATA"):
        text = description_of(text)
    if len(text.strip()) < MINIMUM_CHARACTERS:
        return text, "too-short"
    return text, unusable_reason(text) or unwanted_reason(kind, file.path, text)


def _docstring_pieces(file: InstalledFile, code: str, drops: Drops) -> Iterator[_Piece]:
    try:
        docstrings = docstrings_of(code, MINIMUM_CHARACTERS)
    except (SyntaxError, ValueError, RecursionError):
        drops.add("unparsable-python", DOCSTRINGS)
        return
    for docstring in docstrings:
        if reason := unusable_reason(docstring.text):
            drops.add(reason, DOCSTRINGS)
        else:
            yield _Piece(DOCSTRINGS, f"{file.key}::{docstring.qualified_name}", docstring.text)


def _cut(piece: _Piece, group: str, maximum_parts: int, drops: Drops) -> Iterator[Document]:
    parts = list(parts_of(piece.text))
    for number, part in enumerate(parts, start=1):
        if number > maximum_parts:
            drops.add("part-beyond-limit", piece.domain)
        elif len(part.strip()) < MINIMUM_CHARACTERS:
            drops.add("too-short", piece.domain)
        else:
            identifier = piece.source if len(parts) == 1 else f"{piece.source}#part={number}"
            yield Document(identifier, part, piece.domain, piece.source, group)
