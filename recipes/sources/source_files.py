"""Files of a corpus, local or behind a URL: found, identified, opened."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

from fsspec.core import has_magic

from curricle.core.errors import InputError
from curricle.core.remote import open_filesystem, remote_errors

# What stores call their fingerprint of a file's content: S3 and others, Hugging Face, Google.
_TAGS = ("ETag", "etag", "blob_id", "md5Hash")


@dataclass(frozen=True)
class SourceFile:
    """One file: its name within the corpus, where it lies, and its bytes when it was listed."""

    name: str
    path: str
    filesystem: Any
    size: int = 0

    @property
    def address(self) -> str:
        """How messages call the file."""
        return self.path if self._is_local else str(self.filesystem.unstrip_protocol(self.path))

    @property
    def identity(self) -> list[Any]:
        """Name, size and fingerprint of the content. Raises InputError if it can't be read.

        The fingerprint is the SHA-256 of a local file; of a remote one it is the store's own tag,
        so that nothing is downloaded, and the SHA-256 where the store has none.
        """
        try:
            with remote_errors():
                size, tag = self._size_and_tag()
        except OSError as error:
            raise damaged(self.address, 0, error) from None
        return [self.name, size, tag]

    def open(self) -> BufferedIOBase:
        """The file for reading. Raises OSError."""
        if self._is_local:
            return Path(self.path).open("rb")
        return cast("BufferedIOBase", self.filesystem.open(self.path, "rb"))

    @property
    def _is_local(self) -> bool:
        return "file" in self.filesystem.protocol

    def _size_and_tag(self) -> tuple[int, str]:
        if not self._is_local:
            info = self.filesystem.info(self.path)
            if tag := _tag(info):
                return int(info["size"]), tag
        with self.open() as stream:
            digest = hashlib.file_digest(stream, "sha256")
            return stream.tell(), digest.hexdigest()


def find_files(path: str) -> list[SourceFile]:
    """The files that `path` means (a file, a folder with all below it, or a glob), sorted by name.

    Names are relative to the folder or to the glob's fixed part, so that a moved corpus stays the
    same. Raises InputError if there is nothing, or the store can't be reached.
    """
    try:
        with remote_errors():
            filesystem, base = open_filesystem(path)
            root, found = _found(filesystem, base)
    except FileNotFoundError:
        raise _nothing(path) from None
    except (OSError, ValueError, ImportError) as error:
        raise _unreachable(path, error) from None
    prefix = f"{root.rstrip('/')}/"
    files = (
        SourceFile(one.removeprefix(prefix), one, filesystem, size) for one, size in found.items()
    )
    return sorted(files, key=lambda file: file.name)


def damaged(address: str, number: int, error: Exception) -> InputError:
    """The error for a file that can't be read from row `number` on."""
    return InputError(
        f"{address}: can't be read from row {number} on ({error or type(error).__name__})",
        expected="a complete, readable file",
        fix="fetch or write it again, or take it out of the corpus",
    )


def _found(filesystem: Any, base: str) -> tuple[str, dict[str, int]]:
    """The folder that names are relative to, and the files with their sizes."""
    try:
        info = filesystem.info(base)
        if info["type"] == "directory":
            return base, dict(_files(filesystem.find(base, detail=True)))
        return base.rpartition("/")[0], {base: int(info["size"] or 0)}
    except FileNotFoundError:
        if not has_magic(base):
            raise
    parts = base.split("/")
    fixed = next(index for index, part in enumerate(parts) if has_magic(part))
    found = dict(_files(filesystem.glob(base, detail=True)))
    if not found:
        raise FileNotFoundError(base)
    return "/".join(parts[:fixed]), found


def _files(infos: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    """Those that are files, with their sizes; stores without folders have empty files for them."""
    for path, info in infos.items():
        if info["type"] == "file" and not path.endswith("/"):
            yield path, int(info["size"] or 0)


def _tag(info: Mapping[str, Any]) -> str | None:
    return next((str(info[key]).strip('"') for key in _TAGS if info.get(key)), None)


def _nothing(path: str) -> InputError:
    is_glob = has_magic(path)
    return InputError(
        f"path {path}: {'matches no file' if is_glob else 'does not exist'}",
        expected="an existing file, folder or glob",
        fix="correct the path; relative ones start at the working directory",
    )


def _unreachable(path: str, error: Exception) -> InputError:
    return InputError(
        f"path {path}: {error or type(error).__name__}",
        expected="files that can be listed and read",
        fix="check the address, the credentials in the environment, and that the store answers",
    )
