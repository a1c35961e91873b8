"""Documents from rows of files, streamed, one file after the other."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from curricle.core.errors import InputError
from curricle.recipes.documents import Document, Drops, unusable_reason
from curricle.recipes.sources.file_formats import KNOWN_SUFFIXES, is_known, read_rows
from curricle.recipes.sources.rows import Columns, Row
from curricle.recipes.sources.source_files import SourceFile, find_files
from curricle.recipes.specs.sources import FilesSource, RowsSource

UNKNOWN_DOMAIN = "unknown"
# Domains name files of the dataset, so they keep to what the study allows for names.
_DOMAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def identity(source: FilesSource) -> dict[str, Any]:
    """What decides the source's content, as `identity_of_files` says."""
    return identity_of_files(source, known_files(source.path))


def files_of(source: FilesSource, drops: Drops) -> list[SourceFile]:
    """The files to read.

    Files of other formats, hidden ones and those named `_…` aside, are counted in `drops`.
    """
    found = find_files(source.path)
    for file in found:
        if not is_known(file) and not file.name.rpartition("/")[2].startswith((".", "_")):
            drops.add("unknown-format", source.domain or UNKNOWN_DOMAIN)
    return known_files(source.path, found)


def identity_of_files(source: RowsSource, files: Sequence[SourceFile]) -> dict[str, Any]:
    """What decides the documents: column names, and each file's name, size and content."""
    settings = source.model_dump(mode="json", exclude={"path"})
    return {**settings, "files": [file.identity for file in files]}


def read_file(source: RowsSource, file: SourceFile, drops: Drops) -> Iterator[Document]:
    """Every usable document of a file, rows as they stand.

    Null or blank text, invalid UTF-8, lone surrogates, NUL bytes and rows without a domain are
    counted in `drops`. A document's group is its text, so that exact copies share a split. Raises
    InputError for whatever is wrong with a file as a whole.
    """
    columns = Columns(
        source.text_column, source.id_column, source.source_column, source.domain_column
    )
    for row in read_rows(file, columns):
        if document := _document(source, file, row, drops):
            yield document


def known_files(path: str, found: Sequence[SourceFile] | None = None) -> list[SourceFile]:
    """The files of known formats that `path` means. Raises InputError if there are none."""
    known = [file for file in (find_files(path) if found is None else found) if is_known(file)]
    if not known:
        raise InputError(
            f"path {path}: no file of a known format",
            expected=f"files ending in {', '.join(KNOWN_SUFFIXES)}",
            fix="correct the path, or convert the files",
        )
    return known


def _document(source: RowsSource, file: SourceFile, row: Row, drops: Drops) -> Document | None:
    domain = source.domain or row.domain
    text, reason = _usable_text(row.text)
    if domain and not _DOMAIN.fullmatch(domain):
        raise _bad_domain(f"{file.address}, row {row.number}", domain)
    if reason or not domain:
        drops.add(reason or "no-domain", domain or UNKNOWN_DOMAIN)
        return None
    place = file.name if row.number is None else f"{file.name}#{row.number}"
    group = hashlib.sha256(text.encode()).hexdigest()
    return Document(row.id or place, text, domain, row.source or place, group, place)


def _usable_text(text: bytes | str | None) -> tuple[str, str | None]:
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError:
            return "", "invalid-utf8"
    return text or "", unusable_reason(text)


def _bad_domain(place: str, domain: str) -> InputError:
    return InputError(
        f"{place}: domain {domain[:80]!r}",
        expected="letters, digits and . _ + -, beginning with a letter or digit, 64 at most",
        fix="rename the domain in the data, or give a fixed one with domain",
    )
