"""Whoever wants an artifact that another process builds waits for it, unless that one is dead."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from curricle.core import claims
from curricle.core.store import Request, Store

REQUEST = Request("order", "random", {"seed": 0})


# A line in the file `note` for each that builds the artifact, which takes `seconds`.
BUILDER = """
import pathlib, sys, time
from curricle.core.store import Request, Store
root, note, seconds = sys.argv[1:]
def build(folder):
    with open(note, "a") as stream:
        stream.write("built\\n")
    time.sleep(float(seconds))
    (folder / "content").write_text("x")
Store(root).produce(Request("order", "random", {"seed": 0}), build)
"""


@pytest.fixture(params=["local", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "local":
        return str(tmp_path / "store")
    monkeypatch.setenv("CURRICLE_CACHE", str(tmp_path / "cache"))
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


def start(root: str, note: Path, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", BUILDER, root, str(note), str(seconds)])


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 240
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert path.exists()


def test_processes_that_want_the_same_artifact_build_it_once(root: str, tmp_path: Path) -> None:
    note = tmp_path / "note"
    processes = [start(root, note, 2.0) for _ in range(3)]
    assert [process.wait(timeout=240) for process in processes] == [0, 0, 0]
    assert len(note.read_text().splitlines()) == 1
    store = Store(root)
    assert store.verify(REQUEST.artifact) == []
    assert store.files.glob(f"{store.base}/.claims/*") == []


def test_the_claim_of_a_killed_process_holds_nobody_up(root: str, tmp_path: Path) -> None:
    note = tmp_path / "note"
    killed = start(root, note, 600.0)
    wait_for(note)
    killed.kill()
    killed.wait()
    started = time.monotonic()
    assert start(root, note, 0.0).wait(timeout=240) == 0
    assert time.monotonic() - started < claims.STALE_SECONDS
    assert len(note.read_text().splitlines()) == 2


@pytest.fixture
def memory() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/", recursive=True)


def test_a_claim_of_another_machine_goes_stale(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "STALE_SECONDS", 1.0)
    memory.pipe_file("/claim", b'{"machine": "another", "process": 1, "token": "x", "beat": 3}')
    with claims.remote_claim(memory, "/claim"):
        assert memory.exists("/claim")
    assert not memory.exists("/claim")


def test_a_claim_that_is_renewed_is_waited_for(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "STALE_SECONDS", 1.0)
    monkeypatch.setattr(claims, "RENEWED_SECONDS", 0.2)
    monkeypatch.setattr(claims, "POLL_SECONDS", 0.05)
    held, order = threading.Event(), []

    def hold() -> None:
        with claims.remote_claim(memory, "/claim"):
            held.set()
            time.sleep(3)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(timeout=10)
    with claims.remote_claim(memory, "/claim"):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_a_builder_that_was_stopped_for_too_long_leaves_the_others_artifact_alone(
    memory: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(claims, "STALE_SECONDS", 0.2)
    monkeypatch.setenv("CURRICLE_CACHE", str(tmp_path))
    store, built = Store("memory://store"), threading.Event()
    begun = threading.Event()

    def slowly(folder: Path) -> None:
        begun.set()
        assert built.wait(timeout=60)
        (folder / "content").write_text("the first one's")

    def fast(folder: Path) -> None:
        (folder / "content").write_text("the second one's")

    first = threading.Thread(target=store.produce, args=(REQUEST, slowly))
    first.start()
    assert begun.wait(timeout=60)
    artifact = store.produce(REQUEST, fast)
    built.set()
    first.join(timeout=60)
    assert memory.cat_file(f"{store.base}/{artifact.key}/content") == b"the second one's"
    assert store.verify(artifact) == []
    assert store.files.glob(f"{store.base}/.claims/*") == []


def test_what_is_being_built_is_known_to_others(root: str, tmp_path: Path) -> None:
    store, note = Store(root), tmp_path / "note"
    assert store.being_built() == set()
    builder = start(root, note, 600.0)
    wait_for(note)
    assert Store(root).being_built() == {REQUEST.artifact.fingerprint}
    builder.kill()
    builder.wait()
    assert Store(root).being_built() == set()
