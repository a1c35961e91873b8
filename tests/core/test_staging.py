import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curricle.core import staging
from curricle.core.store import Store

WRITER = """
import sys
from pathlib import Path
from curricle.core.store import Request, Store

def build(folder):
    (folder / "half").write_text("done")
    print(folder.name, flush=True)
    sys.stdin.read()

Store(sys.argv[1]).produce(Request("dataset", "numbers", {}), build)
"""


def left(store: Store) -> list[str]:
    return [path.name for path in (Path(store.base) / ".staging").iterdir()]


def test_sweep_removes_what_a_killed_process_left_and_nothing_of_a_living_one(
    tmp_path: Path,
) -> None:
    store = Store(str(tmp_path))
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    try:
        name = writer.stdout.readline().strip()
        store.sweep()
        assert left(store) == [name]
        assert (tmp_path / ".staging" / name / "half").exists()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        store.sweep()
        assert left(store) == []
    finally:
        writer.kill()
        writer.wait()
        writer.stdin.close()
        writer.stdout.close()


def test_folders_of_other_machines_stay(tmp_path: Path) -> None:
    other = tmp_path / ".staging" / "f8f3d0f4-0d3b-4c3e-9c3a-7f6a3c1f2b11:x"
    other.mkdir(parents=True)
    Store(str(tmp_path)).sweep()
    assert other.is_dir()


def test_nothing_is_swept_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError("no locks available")

    with staging.new_folder(tmp_path) as folder:
        (folder / "half").write_text("done")
        kept = folder.with_name(folder.name + "-crashed")
        folder.rename(kept)
    monkeypatch.setattr("fcntl.flock", no_locks)
    staging.sweep(tmp_path)
    assert kept.is_dir()
    monkeypatch.undo()
    staging.sweep(tmp_path)
    assert not kept.exists()


def test_a_folder_whose_writer_died_before_it_named_it_goes_after_a_while(tmp_path: Path) -> None:
    fresh, old, held = (tmp_path / f"new:{name}" for name in ("fresh", "old", "held"))
    for folder in (fresh, old, held):
        folder.mkdir()
    long_ago = time.time() - 2 * staging.NAMING_SECONDS
    for folder in (old, held):
        os.utime(folder, (long_ago, long_ago))
    descriptor = os.open(held, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        staging.sweep(tmp_path)
    finally:
        os.close(descriptor)
    assert {path.name for path in tmp_path.iterdir()} == {"new:fresh", "new:held"}
