"""What a command says at its end."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from curricle.analysis.score_summary import render_ends, render_scores
from curricle.analysis.summary import render_summary
from curricle.core.store import Store
from curricle.tasks.plan import StudyPlan
from curricle.tasks.prepared import prepared_of, render_prepared
from curricle.tasks.report import REPORT, SUMMARY, gather, report_step
from curricle.tasks.score_quality import scored_samples
from curricle.tasks.upgrade import describe_rebuilt

MOST_NAMED = 3
DEGRADED = "Degraded"
"""The state of a study that has gone on without some of its runs."""
CHANGED = "Changed"
"""The state of a regression that finds something else than the time before."""


@dataclass(frozen=True)
class Outcome:
    """The study as it stands: summary for the terminal, the report's path, the best recipe.

    `prepared` is the table that `prepare` alone ends with, `missing` the runs that failed, and why,
    `rebuilt` how many artifacts were made anew after an upgrade of the code, by reason.
    """

    study: str
    best_recipe: str | None
    report: str | None
    seconds: float
    prepared: dict[str, Any] | None
    text: str
    state: str = "Completed"
    missing: Mapping[str, str] = field(default_factory=dict)
    rebuilt: Mapping[str, int] = field(default_factory=dict)

    def without(self, missing: Mapping[str, str]) -> "Outcome":
        """The same, telling which runs the study goes on without."""
        if not missing:
            return self
        line = f"{DEGRADED}: {describe_failures(missing)}. The same command tries them again."
        return replace(self, state=DEGRADED, missing=missing, text=f"{self.text}\n{line}")

    def with_rebuilt(self, reasons: Iterable[str]) -> "Outcome":
        """The same, telling what another version of the code had made already, and why."""
        counts = Counter(reasons)
        text = "\n".join([self.text, *describe_rebuilt(counts)])
        return replace(self, rebuilt=counts, text=text)

    def with_failures(self, failures: Sequence[str]) -> "Outcome":
        """The same, telling what MLflow didn't take."""
        if not failures:
            return self
        line = (
            f"MLflow: {len(failures)} messages failed, the first: {failures[0]}. The same command "
            "again forwards what is missing."
        )
        return replace(self, text=f"{self.text}\n{line}")

    def with_page(self, problem: str | None) -> "Outcome":
        """The same, telling why the study's page couldn't be written."""
        if problem is None:
            return self
        return replace(self, text=f"{self.text}\nThe study's page is out of date: {problem}")

    def to_plain(self) -> dict[str, Any]:
        """JSON values, without the text."""
        return {key: value for key, value in asdict(self).items() if key != "text"}


def describe_failures(missing: Mapping[str, str]) -> str:
    """How many runs are missing, the first ones by name, and why the first one is."""
    names = list(missing)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    listed = "; ".join(names[:MOST_NAMED]) + more
    count = "1 run is" if len(names) == 1 else f"{len(names)} runs are"
    return f"{count} missing ({listed}): {missing[names[0]]}"


def read_outcome(plan: StudyPlan, store: Store, flow: str, *, seconds: float) -> Outcome:
    """What there is to say now, after that flow; `seconds` is what the command took."""
    took = f"took {int(seconds // 60)} min {int(seconds % 60)} s"
    if flow == "prepare":
        prepared = prepared_of(plan, store)
        text = f"{render_prepared(prepared)}\n{took}"
        return Outcome(plan.study.name, None, None, seconds, prepared.to_plain(), text)
    decision = plan.ranking.decide(store)
    report = report_step(plan, store).artifact if decision.from_ranking else None
    folder = store.folder(report) if report and store.exists(report) else None
    path = str(folder / REPORT) if folder else None
    if folder:
        lines = [(folder / SUMMARY).read_text(encoding="utf-8"), f"Report: {path}"]
    else:
        lines = [render_summary(gather(plan, store))]
    scored = scored_samples(plan, store, decision.best) if flow == "score" else None
    if scored is not None:
        columns = shutil.get_terminal_size().columns
        made = _addresses(plan, store, decision.best)
        ends = render_ends(scored.ends, columns)
        lines[:0] = [render_scores(scored.qualities), ends, "", *made, ""]
    best = decision.best if decision.from_ranking else None
    return Outcome(plan.study.name, best, path, seconds, None, "\n".join([*lines, took]))


def _addresses(plan: StudyPlan, store: Store, recipe: str) -> Iterator[str]:
    """Where the scores are that another study's curriculum may name."""
    yield "Addresses, for `scores` in a curriculum of another study of the same dataset"
    scoring, seeds = plan.curricula.scoring, plan.curricula.seeds
    for name in scoring.wanted:
        steps = [scoring.step(recipe, name, seed).artifact for seed in seeds]
        for number, artifact in enumerate(dict.fromkeys(steps)):
            measured = f"{name}, seed {seeds[number]}" if len(set(steps)) > 1 else name
            if store.exists(artifact):
                yield f"  {measured}: {store.root}/{artifact.key}"
