"""File systems behind URLs: opened with limits on waiting and retrying; what they may fail at."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from curricle.core.errors import InputError

# A server that fails is asked four times with growing pauses by botocore; s3fs does all of that
# again when an answer breaks off or doesn't come, twice over. A dead server costs five minutes so,
# and an hour with the libraries' own settings (5 x 5 x 5 times).
S3_LIMITS: dict[str, Any] = {
    "connect_timeout": 10,
    "read_timeout": 20,
    "retries": {"mode": "standard", "total_max_attempts": 4},
}
S3FS_ATTEMPTS = 2
# Their errors aren't all OSErrors: "no credentials" and "connection reset" are their own.
_CLIENT_LIBRARIES = frozenset(
    {"aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "httpcore", "httpx", "requests"}
)
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def open_filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a local path or URL, and the path within it.

    Listings are never taken from a cache: other processes write there too. Raises OSError,
    ValueError (unknown protocol) or ImportError (its package isn't installed).
    """
    if "://" not in url:
        files = LocalFileSystem()
        return files, files._strip_protocol(url)
    is_s3 = url.startswith(("s3://", "s3a://"))
    options = {"config_kwargs": S3_LIMITS} if is_s3 else {}
    with remote_errors():
        files, path = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    if is_s3:
        files.retries = S3FS_ATTEMPTS
    return files, str(path)


@contextlib.contextmanager
def remote_errors() -> Iterator[None]:
    """Turn what clients of remote stores raise into OSError, which callers expect of any store."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] in _CLIENT_LIBRARIES:
            raise OSError(f"{type(error).__name__}: {error}") from error
        raise


@contextlib.contextmanager
def reachable(root: str) -> Iterator[None]:
    """Report whatever a remote store at `root` can't do as an InputError."""
    try:
        with remote_errors():
            yield
    except OSError as error:
        raise unusable(root, error) from None


@contextlib.contextmanager
def room(folder: Path) -> Iterator[None]:
    """Report a full disk, on which `folder` lies, as an InputError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise InputError(
            f"{folder}: {os.strerror(error.errno)}",
            expected="room for the artifact that was being written",
            fix="free some, or give another store with --set store=PATH",
        ) from None


def require_room(needs: Sequence[tuple[Path, int]]) -> None:
    """Raise InputError unless the disks have room for so many bytes below each of these folders."""
    by_disk: dict[int, tuple[Path, int]] = {}
    for folder, needed in needs:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        disk = there.stat().st_dev
        by_disk[disk] = (there, needed + by_disk.get(disk, (there, 0))[1])
    for there, needed in by_disk.values():
        free = shutil.disk_usage(there).free
        if free < needed:
            raise InputError(
                f"{_size(free)} free for {there}",
                expected=f"{_size(needed)}, for checkpoints and snapshots",
                fix="free some, or give another store with --set store=PATH",
            )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def unusable(root: str, error: Exception) -> InputError:
    """The error for a store that can't be made, read or written."""
    return InputError(
        f"store {root}: {error or type(error).__name__}",
        expected="a folder or an s3:// address that can be read and written",
        fix="give another one with --set store=PATH, or mend its permissions",
    )
