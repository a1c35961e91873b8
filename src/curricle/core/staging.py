"""Folders that are filled beside their place: each is its writer's alone, and goes with it.

A writer holds a lock on its folder (flock) until it is done. The kernel drops the lock when the
process ends, however it ends; so a folder whose lock can be had was left by a dead one, whatever
became of its process id. Locks of other machines on shared storage may be invisible: folders bear
the id of the kernel's boot, and those of another are never touched.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

NAMING_SECONDS = 60.0
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@contextlib.contextmanager
def new_folder(root: Path) -> Iterator[Path]:
    """An empty folder below `root`, locked; what is left of it in the end is removed."""
    # It gets the name that is swept only once it is locked.
    fresh = root / f"new:{uuid.uuid4().hex}"
    fresh.mkdir(parents=True)
    with _opened(fresh) as descriptor:
        _lock(descriptor)
        folder = fresh.rename(root / f"{machine()}:{uuid.uuid4().hex}")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> None:
    """Remove folders below `root` whose writers, processes of this machine, are dead."""
    unnamed = [folder for folder in root.glob("new:*") if _is_old(folder)]
    for folder in (*root.glob(f"{machine()}:*"), *unnamed):
        with contextlib.suppress(FileNotFoundError), _opened(folder) as descriptor:
            if _lock(descriptor):
                shutil.rmtree(folder, ignore_errors=True)


def _is_old(folder: Path) -> bool:
    """Whether it lies there for longer than a living writer takes to lock and name its folder."""
    with contextlib.suppress(FileNotFoundError):
        return time.time() - folder.stat().st_mtime > NAMING_SECONDS
    return False


def _lock(descriptor: int) -> bool:
    """Whether the lock could be had; some file systems have none, and nothing is swept there."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def machine() -> str:
    """This boot of this machine; a process in a container has its host's."""
    return _BOOT_ID.read_text("ascii").strip() if _BOOT_ID.exists() else socket.gethostname()
