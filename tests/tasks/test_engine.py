"""The same bytes from every engine, on real clusters of this machine."""

import errno
import hashlib
import importlib
import importlib.util
import os
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)
from pydantic import ValidationError
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.core.errors import InputError
from curricle.core.remote import room
from curricle.core.store import Store
from curricle.recipes import engine as engine_module
from curricle.recipes.engine import IN_PROCESS
from curricle.recipes.loading import load_study
from curricle.recipes.specs.preparation import Preparation
from curricle.tasks.engine import TaskRunnerEngine
from curricle.tasks.plan import StudyPlan

NEAR = [{"step": "duplicate-documents"}, {"step": "minhash-dedup", "threshold": 0.7}]
RECIPES: dict[str, Any] = {
    "untouched": {},
    "near": {"steps": NEAR},
    "lines": {"steps": [{"step": "exact-dedup"}, {"step": "line-dedup"}]},
    "filtered": {"steps": [{"step": "gopher-repetition"}, {"step": "c4", "minimum_sentences": 1}]},
    "uniform": {"mix": {"weights": "uniform", "tokens": 2000}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Prefect server that all processes are told of."""
    own: dict[Any, Any] = {
        PREFECT_HOME: tmp_path_factory.mktemp("prefect"),
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 250,
    }
    with (
        temporary_settings(own),
        get_client(sync_client=True) as client,
        temporary_settings({PREFECT_API_URL: str(client.api_url)}),
    ):
        yield


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let other processes find the shard functions of this file."""
    root = str(Path(__file__).parents[2])
    monkeypatch.syspath_prepend(root)
    monkeypatch.setenv("PYTHONPATH", f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


@pytest.fixture
def plan(tiny_study: Path, tmp_path: Path) -> StudyPlan:
    """A study of several files, each of several shards."""
    folder = tmp_path / "texts"
    for number in range(400):
        path = folder / f"{number % 4}" / f"{number:03}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(prose(number % 350, 120) + prose(number % 7, 30))
    source = f"{{source: files, path: {folder}, domain: prose}}"
    overrides = [f"corpora={{texts: {source}}}", f"recipes={RECIPES}", "target.confirm=2"]
    return StudyPlan(load_study(str(tiny_study), overrides))


def digests(folder: Path) -> dict[str, str]:
    """Content of every file of the artifacts but the records, which name times and devices."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "record.json"
    }


@pytest.mark.usefixtures("importable", "server")
@pytest.mark.parametrize("name", ["local", "dask", "ray"])
def test_engines_make_the_same_bytes(
    name: Any, plan: StudyPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {"local": "prefect", "dask": "prefect_dask", "ray": "prefect_ray"}[name]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} isn't installed")
    steps = [plan.preparation.validation, *plan.preparation.datasets.values()]
    make(Store(str(tmp_path / "here")), steps, IN_PROCESS)
    monkeypatch.setattr(engine_module, "LEAST_BYTES", 60_000)
    engine = TaskRunnerEngine(Preparation(engine=name, workers=2))
    try:
        processes = set(engine.map(process_id, range(8)))
        make(Store(str(tmp_path / "there")), steps, engine)
        with pytest.raises(InputError, match="shard 3, expected none, fix: it"):
            list(engine.map(fail_at_three, range(8)))
        with pytest.raises(InputError, match="expected room for the artifact"), room(tmp_path):
            list(engine.map(fill_the_disk, range(2)))
    finally:
        engine.close()
    assert os.getpid() not in processes
    here, there = digests(tmp_path / "here"), digests(tmp_path / "there")
    assert len(here) > 30
    assert here == there


@pytest.mark.usefixtures("importable", "server")
def test_values_that_were_used_are_let_go() -> None:
    engine = TaskRunnerEngine(Preparation(workers=2))
    most = 0
    try:
        for _ in engine.map(Value, range(24)):
            most = max(most, len(LIVING))
    finally:
        engine.close()
    # Those that wait, twice each: Prefect unpickles a value when it is there and when it's wanted.
    assert 0 < most < 12


LIVING: "weakref.WeakSet[Value]" = weakref.WeakSet()


class Value:
    """What a shard function returns; counted where it arrives."""

    def __init__(self, item: int) -> None:
        self.item = item

    def __setstate__(self, state: dict[str, int]) -> None:
        self.__dict__ |= state
        LIVING.add(self)


def process_id(item: int) -> int:
    del item
    return os.getpid()


def fail_at_three(item: int) -> int:
    if item == 3:
        raise InputError(f"shard {item}", expected="none", fix="it")
    return item


def fill_the_disk(item: int) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"shard-{item}")


def test_one_shard_and_one_worker_need_no_other_process() -> None:
    for preparation, items in ((Preparation(), [0]), (Preparation(workers=1), [0, 1, 2])):
        engine = TaskRunnerEngine(preparation)
        assert set(engine.map(process_id, items)) == {os.getpid()}
        engine.close()


def test_a_cluster_that_isnt_there_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("prefect_dask")
    monkeypatch.setitem(dask_timeouts(), "connect", "1s")
    engine = TaskRunnerEngine(Preparation(engine="dask", address="tcp://127.0.0.1:9"))
    with pytest.raises(
        InputError, match=r"engine dask at tcp://127\.0\.0\.1:9: .*expected a cluster"
    ):
        list(engine.map(process_id, [1, 2]))


def dask_timeouts() -> dict[str, Any]:
    dask = importlib.import_module("dask")
    importlib.import_module("distributed")
    timeouts: dict[str, Any] = dask.config.get("distributed.comm.timeouts")
    return timeouts


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prefect_ray", None)
    monkeypatch.setitem(sys.modules, "prefect_ray.task_runners", None)
    engine = TaskRunnerEngine(Preparation(engine="ray"))
    with pytest.raises(InputError, match=r"fix: pip install 'curricle\[ray\]'"):
        list(engine.map(process_id, [1, 2]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"address": "tcp://x:1"}, "engine local"),
        ({"engine": "ray", "address": "ray://x:1", "workers": 2}, "address and workers"),
        ({"engine": "spark"}, "'local', 'dask' or 'ray'"),
    ],
)
def test_settings_that_dont_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Preparation(**settings)


def test_the_engine_is_no_identity(plan: StudyPlan) -> None:
    engine = Preparation(engine="dask", workers=7)
    other = StudyPlan(plan.study.model_copy(update={"preparation": engine}))
    assert {name: step.artifact for name, step in other.preparation.datasets.items()} == {
        name: step.artifact for name, step in plan.preparation.datasets.items()
    }
