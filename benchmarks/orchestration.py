"""What Prefect costs: a study's jobs as tasks of flows against the same jobs in a bare loop.

    python benchmarks/orchestration.py tasks              # 1,000 tasks that do nothing
    python benchmarks/orchestration.py study STUDY        # a study's jobs, bare and orchestrated

`study` runs STUDY into two new stores: stage by stage, each step as soon as its inputs are there,
by threads over a worker pool, nothing logged; and by `curricle run`. With PREFECT_API_URL in the
environment the server's start is left out. Processor seconds are those of this process and of what
it starts, to be looked at where a machine has other things to do.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

TASKS = 1_000


def clocks() -> tuple[float, float]:
    """Now: seconds on the wall, and processor seconds of this process and its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.monotonic(), sum(one.ru_utime + one.ru_stime for one in used)


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Seconds of both kinds that `work` takes."""
    before = clocks()
    work()
    after = clocks()
    return {"wall": after[0] - before[0], "processor": after[1] - before[1]}


def many_tasks(folder: Path) -> dict[str, Any]:
    """Tasks of the kind that makes steps, mapped by a flow that has begun, set up as a study is.

    Prefect's database lies in `folder`.
    """
    from curricle.environment import configure

    configure(folder)
    from prefect import flow, task
    from prefect.cache_policies import NO_CACHE
    from prefect.task_runners import ThreadPoolTaskRunner

    from curricle.tasks.produce import THREADS

    found: dict[str, Any] = {}
    nothing = task(cache_policy=NO_CACHE, persist_result=False)(lambda number: number)
    runner: Any = ThreadPoolTaskRunner(max_workers=THREADS)

    @flow(task_runner=runner)
    def mapped() -> None:
        nothing.submit(0).result()  # starts what starts with the first task
        found.update(
            timed(lambda: [one.result() for one in [nothing.submit(i) for i in range(TASKS)]])
        )

    mapped()
    return {"tasks": TASKS, **found}


def bare_study(study: str, overrides: list[str]) -> dict[str, float]:
    """Make every step of a study without Prefect, logging nothing."""
    from curricle.models.pool import JobPool
    from curricle.recipes.loading import load_study
    from curricle.tasks.plan import StudyPlan
    from curricle.tasks.session import Session
    from curricle.tasks.step import InputFolders, Step

    plan = StudyPlan(load_study(study, overrides))
    session = Session(plan.study)

    def make(step: Step) -> None:
        def build(folder: Path) -> Any:
            return step.build(session, InputFolders(session.store, step), folder)

        session.store.produce(step.request, build)

    def missing(stage: str) -> list[Step]:
        """What a stage needs that isn't there; the ranking tells what comes after it."""
        steps = plan.layout(session.store)[stage]
        return [step for step in steps if not session.store.exists(step.artifact)]

    def ready(step: Step) -> bool:
        return all(session.store.exists(item.artifact) for item in step.inputs.values())

    def make_all(left: list[Step], threads: ThreadPoolExecutor) -> None:
        under_way = set[Future[None]]()
        while left or under_way:
            now = [step for step in left if ready(step)]
            left = [step for step in left if step not in now]
            under_way |= {threads.submit(make, step) for step in now}
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()

    def all_steps() -> None:
        pool: JobPool = session.pool
        with ThreadPoolExecutor(pool.size + 2) as threads:
            for stage in plan.layout(session.store):
                while left := missing(stage):
                    make_all(left, threads)
        session.close(finished=True)

    return timed(all_steps)


def orchestrated_study(study: str, overrides: list[str]) -> dict[str, float]:
    """The same by the command, imports, tracking and report included."""
    settings = [part for override in overrides for part in ("--set", override)]
    command = [str(Path(sys.executable).with_name("curricle")), "run", study, *settings]

    return timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def artifacts(store: str) -> set[str]:
    """What a store has, less the page of a study, which is made for people alone."""
    from curricle.core.store import Store

    return {str(artifact) for artifact in Store(store).artifacts() if artifact.kind != "report"}


def compared(study: str, overrides: list[str], folder: Path) -> dict[str, Any]:
    """Both ways, into stores in `folder`, and the share that orchestration adds."""
    bare = bare_study(study, [*overrides, f"store={folder}/bare"])
    whole = orchestrated_study(study, [*overrides, f"store={folder}/whole"])
    one_way = artifacts(f"{folder}/bare") ^ artifacts(f"{folder}/whole")
    added = {key: whole[key] / bare[key] - 1 for key in ("wall", "processor")}
    return {"bare": bare, "orchestrated": whole, "added": added, "made one way only": list(one_way)}


def main() -> None:
    """Run what is asked for and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["tasks", "study"])
    parser.add_argument("study", nargs="?", default="quickstart")
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    parser.add_argument("--folder", type=Path, help="where a study's two stores go, to be kept")
    options = parser.parse_args()
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    # Prefect's server, which ends after this process' own code, still writes there.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if options.what == "tasks":
            result = many_tasks(Path(folder))
        else:
            result = compared(options.study, options.overrides, options.folder or Path(folder))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
