"""Documents from local files, streamed: Parquet, JSON Lines, or plain text (one a file)."""

import glob
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curricle.core.errors import InputError
from curricle.recipes.documents import Document, Drops, unusable_reason
from curricle.recipes.sources.file_formats import KNOWN_SUFFIXES, Columns, Row, damaged, reader_of
from curricle.recipes.specs.sources import FilesSource

UNKNOWN_DOMAIN = "unknown"
# Domains name files of the dataset, so they keep to what the study allows for names.
_DOMAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


def identity(source: FilesSource) -> dict[str, Any]:
    """What decides the source's content: column names, and each file's name, size and SHA-256.

    Names are relative to the folder or to the glob's fixed part, so a moved corpus stays the same.
    """
    return {
        **source.model_dump(mode="json", exclude={"path"}),
        "files": [[name, *_size_and_sha256(path)] for name, path in _files(source)],
    }


def read(source: FilesSource, drops: Drops) -> Iterator[Document]:
    """Every usable document of every file, files by name and rows as they stand.

    Null or blank text, invalid UTF-8, lone surrogates, NUL bytes and rows without a domain are
    counted in `drops`. A document's group is its text, so that exact copies share a split. Raises
    InputError for whatever is wrong with a file as a whole.
    """
    columns = Columns(
        source.text_column, source.id_column, source.source_column, source.domain_column
    )
    for name, path in _files(source):
        reader = reader_of(path)
        assert reader is not None
        for row in reader(path, columns):
            document = _document(source, name, path, row, drops)
            if document:
                yield document


def _document(
    source: FilesSource, name: str, path: Path, row: Row, drops: Drops
) -> Document | None:
    domain = source.domain or row.domain
    text, reason = _usable_text(row.text)
    if domain and not _DOMAIN.fullmatch(domain):
        raise _bad_domain(f"{path}, row {row.number}", domain)
    if reason or not domain:
        drops.add(reason or "no-domain", domain or UNKNOWN_DOMAIN)
        return None
    place = name if row.number is None else f"{name}#{row.number}"
    group = hashlib.sha256(text.encode()).hexdigest()
    return Document(row.id or place, text, domain, row.source or place, group)


def _usable_text(text: bytes | str | None) -> tuple[str, str | None]:
    if isinstance(text, bytes):
        try:
            text = text.decode()
        except UnicodeDecodeError:
            return "", "invalid-utf8"
    return text or "", unusable_reason(text)


def _files(source: FilesSource) -> list[tuple[str, Path]]:
    """The source's files with their relative names, sorted by name."""
    root, paths = _found(source.path)
    known = [(path.relative_to(root).as_posix(), path) for path in paths if reader_of(path)]
    if not known:
        raise InputError(
            f"path {source.path}: no file of a known format",
            expected=f"files ending in {', '.join(KNOWN_SUFFIXES)}",
            fix="correct the path, or convert the files",
        )
    return sorted(known)


def _found(path: str) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the files that `path` means."""
    if Path(path).is_dir():
        return Path(path), [found for found in Path(path).rglob("*") if found.is_file()]
    if Path(path).is_file():
        return Path(path).parent, [Path(path)]
    matches = [Path(match) for match in glob.glob(path, recursive=True)]  # noqa: PTH207
    files = [match for match in matches if match.is_file()]
    if not files:
        raise InputError(
            f"path {path}: {'matches no file' if glob.has_magic(path) else 'does not exist'}",
            expected="an existing file, folder or glob",
            fix="correct the path; relative ones start at the working directory",
        )
    parts = Path(path).parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed]), files


def _size_and_sha256(path: Path) -> tuple[int, str]:
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
            return stream.tell(), digest.hexdigest()
    except OSError as error:
        raise damaged(path, 0, error) from None


def _bad_domain(place: str, domain: str) -> InputError:
    return InputError(
        f"{place}: domain {domain[:80]!r}",
        expected="letters, digits and . _ + -, beginning with a letter or digit, 64 at most",
        fix="rename the domain in the data, or give a fixed one with domain",
    )
