"""Claims: whoever builds an artifact holds one, so that others wait for it and don't build it too.

It ends with its holder, however that ends. On a local disk it is a lock of the kernel's; on an
object store an object that its holder keeps changing. There a holder that is stopped for too long
can lose it to another, and is told so when it asks: what it has built is dropped then (`store.py`).
"""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from curricle.core.staging import machine

RENEWED_SECONDS = 10.0
# Longer than a store may be slow; a holder that died on this machine is noticed at once.
STALE_SECONDS = 60.0
POLL_SECONDS = 0.5
_TAKEN = frozenset({errno.EINVAL, errno.EBUSY})

Held = Callable[[], bool]


@contextlib.contextmanager
def local_claim(path: Path) -> Iterator[Held]:
    """Hold the file `path` for the block, after waiting for whoever holds it.

    Where there are no locks, or the file is another user's, nobody waits for anybody. Yields what
    says whether it is still held, which here it is.
    """
    try:
        descriptor = _locked(path)
    except OSError:
        yield _always
        return
    try:
        yield _always
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def local_is_taken(path: Path) -> bool:
    """Whether somebody holds the file `path`."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _always() -> bool:
    return True


def _locked(path: Path) -> int:
    path.parent.mkdir(exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The last holder removed the file; the lock of what it was then is worth nothing.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)


@contextlib.contextmanager
def remote_claim(files: Any, path: str) -> Iterator[Held]:
    """Hold the object `path` for the block, after waiting for whoever holds it.

    Yields what says whether it is still held, and not taken for a dead one's by another. Raises
    OSError or the client library's own error if the store can't be reached.
    """
    holder = {"machine": _here(), "process": os.getpid(), "token": uuid.uuid4().hex}
    _take(files, path, holder)
    ended = threading.Event()
    thread = threading.Thread(target=_renew, args=(files, path, holder, ended), daemon=True)
    thread.start()
    try:
        yield lambda: _is_held(files, path, holder)
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(Exception):  # it goes stale by itself
            if _is_held(files, path, holder):
                files.rm_file(path)


def remote_is_taken(files: Any, path: str) -> bool:
    """Whether somebody holds the object `path`, who isn't known to be dead."""
    try:
        found = json.loads(files.cat_file(path))
        age = datetime.datetime.now(datetime.UTC) - files.modified(path)
    except FileNotFoundError:
        return False
    return not _is_dead(found) and age.total_seconds() < STALE_SECONDS


def _take(files: Any, path: str, holder: dict[str, Any]) -> None:
    """Create the object, or wait until its holder is done or dead."""
    seen, since = "", time.monotonic()
    while True:
        if _created(files, path, _content(holder, 0)):
            return
        try:
            content = files.cat_file(path).decode()
        except FileNotFoundError:
            continue
        if content != seen:
            seen, since = content, time.monotonic()
        found = json.loads(content)
        # A request that was answered too late, and repeated, finds its own object.
        if found["token"] == holder["token"]:
            return
        if _is_dead(found) or time.monotonic() - since > STALE_SECONDS:
            with contextlib.suppress(FileNotFoundError):
                files.rm_file(path)
        else:
            time.sleep(POLL_SECONDS)


def _created(files: Any, path: str, content: bytes) -> bool:
    """Whether there was no such object yet, and is now."""
    try:
        files.pipe_file(path, content, mode="create")
    except FileExistsError:
        return False
    except OSError as error:
        # What s3fs makes of a failed condition on servers other than Amazon's, or of two at once.
        if error.errno not in _TAKEN:
            raise
        return False
    return True


def _renew(files: Any, path: str, holder: dict[str, Any], ended: threading.Event) -> None:
    beat = 0
    while not ended.wait(RENEWED_SECONDS):
        beat += 1
        with contextlib.suppress(Exception):  # the next beat may get through
            if not _is_held(files, path, holder):
                return
            files.pipe_file(path, _content(holder, beat))


def _is_held(files: Any, path: str, holder: dict[str, Any]) -> bool:
    try:
        found = json.loads(files.cat_file(path))
    except FileNotFoundError:
        return False
    return bool(found["token"] == holder["token"])


def _content(holder: dict[str, Any], beat: int) -> bytes:
    return json.dumps({**holder, "beat": beat}).encode()


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether the holder was a process of this machine that is gone."""
    return holder["machine"] == _here() and not Path("/proc", str(holder["process"])).exists()


def _here() -> str:
    """This boot of this machine, and which of its containers: each counts its own processes."""
    return f"{machine()} {socket.gethostname()}"
