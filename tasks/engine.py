"""Shards mapped by Prefect's task runners: on this machine's cores, on Dask, or on Ray."""

import gc
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner

from curricle.core.errors import InputError, JobError
from curricle.core.memory import collect_everything, collect_from_here_on, release_memory
from curricle.recipes.specs.preparation import Preparation

# Shards that wait or are worked on, for each worker: enough to keep it busy, few enough to bound
# the values that wait here for their turn.
AHEAD = 2

Item = TypeVar("Item")
Value = TypeVar("Value")


class Shard:
    """A function and what it is to work on.

    No collection and no dataclass, or Prefect would walk through it in search of futures, and Dask
    call a tuple that begins with a function.
    """

    def __init__(self, function: Callable[[Any], Any], item: Any) -> None:
        self.function, self.item = function, item


@task(cache_policy=NO_CACHE, persist_result=False)
def work_on(shard: Shard) -> Any:
    """Work on one shard, with one thread: there is a worker a core."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        return shard.function(shard.item)
    finally:
        release_memory()


class TaskRunnerEngine:
    """Maps shards as tasks of one of Prefect's task runners, which is started by the first map.

    Safe to use from several threads. A map of a single shard is done here.
    """

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation
        self._workers = preparation.workers or len(os.sched_getaffinity(0))
        self._runner: TaskRunner[PrefectFuture[Any]] | None = None
        self._lock = threading.Lock()
        self._is_left = False

    def map(self, function: Callable[[Item], Value], items: Sequence[Item]) -> Iterator[Value]:
        """The value of each item, in their order. Raises what the function raises.

        Raises InputError if the engine isn't installed, or there is no cluster at the address, and
        JobError for an item that isn't begun because of `leave`.
        """
        alone = self._preparation.engine == "local" and self._workers == 1
        if len(items) < 2 or alone:
            yield from (function(item) for item in self._until_left(items))
            return
        runner, named = self._started(), work_on.with_options(name=_name_of(function))
        waiting: deque[PrefectFuture[Any]] = deque()
        try:
            for item in self._until_left(items):
                waiting.append(runner.submit(named, {"shard": Shard(function, item)}))
                if len(waiting) > AHEAD * self._workers:
                    yield waiting.popleft().result()
                    _let_go()
            while waiting:
                yield waiting.popleft().result()
                _let_go()
        finally:
            for future in waiting:
                future.wait()

    def leave(self) -> None:
        """Begin no further item, of the maps under way too."""
        self._is_left = True

    def _until_left(self, items: Sequence[Item]) -> Iterator[Item]:
        for item in items:
            if self._is_left:
                raise JobError("stopped on request")
            yield item

    def close(self) -> None:
        """End the processes, or leave the cluster; another map starts anew."""
        with self._lock:
            if self._runner is not None:
                self._runner.__exit__(None, None, None)
                collect_everything()
            self._runner = None

    def _started(self) -> TaskRunner[PrefectFuture[Any]]:
        with self._lock:
            if self._runner is None:
                runner = _runner_of(self._preparation, self._workers)
                try:
                    started = runner.__enter__()
                    # Dask's connects when its client is first asked for, others have none.
                    getattr(started, "client", None)
                except (OSError, ConnectionError, TimeoutError) as error:
                    raise _unreachable(self._preparation, error) from None
                self._runner = started
                collect_from_here_on()
            return self._runner


def _let_go() -> None:
    """Free a shard's value: Prefect's futures hold each other in cycles, and their values too."""
    gc.collect()
    release_memory()


def _runner_of(preparation: Preparation, workers: int) -> Any:
    try:
        match preparation.engine:
            case "local":
                return ProcessPoolTaskRunner(max_workers=workers, initializer=_end_with_parent)
            case "dask":
                return _dask_runner(preparation.address, workers)
            case "ray":
                return _ray_runner(preparation.address, workers)
    except ImportError as error:
        engine = preparation.engine
        raise InputError(
            f"preparation.engine {engine}: {error}",
            expected=f"the packages of the extra {engine}",
            fix=f"pip install 'curricle[{engine}]', or choose another engine",
        ) from None


def _dask_runner(address: str | None, workers: int) -> Any:
    from prefect_dask.task_runners import DaskTaskRunner

    if address:
        return DaskTaskRunner(address=address)
    local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    return DaskTaskRunner(cluster_kwargs=local)


def _ray_runner(address: str | None, workers: int) -> Any:
    from prefect_ray.task_runners import RayTaskRunner

    if address:
        return RayTaskRunner(address=address)
    return RayTaskRunner(init_kwargs={"num_cpus": workers, "include_dashboard": False})


def _end_with_parent() -> None:
    """End this process when the one that started it does, even by SIGKILL, and not before."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _name_of(function: Any) -> str:
    """What Prefect shows of a shard's task."""
    plain = getattr(function, "func", function)
    return str(getattr(plain, "__name__", plain)).strip("_").replace("_", " ")


def _unreachable(preparation: Preparation, error: Exception) -> InputError:
    return InputError(
        f"preparation.engine {preparation.engine} at {preparation.address or 'this machine'}: "
        f"{error or type(error).__name__}",
        expected="a cluster that answers",
        fix="check preparation.address, or leave it out to start a cluster here",
    )
