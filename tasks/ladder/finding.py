"""The step that ends a ladder: findings, tables and the report."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

from ruamel.yaml import YAML

from curricle.analysis.report.scaling import LadderContent, headline, render_ladder
from curricle.analysis.scaling.differences import Difference
from curricle.analysis.scaling.ladder import LadderFindings, ladder_findings
from curricle.core import provenance
from curricle.core.plain import to_plain
from curricle.core.store import Store
from curricle.tasks.ladder.costing import size_costs
from curricle.tasks.ladder.plan import MIX, LadderPlan
from curricle.tasks.ladder.runs import LadderRun
from curricle.tasks.ladder.tables import read_tables
from curricle.tasks.session import Session
from curricle.tasks.step import Step

REPORT, SUMMARY, LAWS = "report.html", "summary.txt", "scaling.json"
RUNS, ITEMS, CURVES = "runs.csv", "items.csv", "curves.csv"


@dataclass(frozen=True)
class ScalingStep(Step):
    """Fit, compare and report on `runs`, fine-tuned ones too: all of a ladder, or what is left."""

    kind: ClassVar[str] = "scaling"
    verb: ClassVar[str] = "fit laws"
    version: ClassVar[int] = 5
    plan: LadderPlan
    runs: tuple[LadderRun, ...]

    @classmethod
    def present(cls, plan: LadderPlan, store: Store) -> Self:
        """On the runs that the store has: every one, unless some have diverged."""
        every = (*plan.runs, *plan.tuned)
        return cls(plan, tuple(run for run in every if store.exists(run.step.artifact)))

    @property
    def name(self) -> str:
        """The study's name."""
        return self.plan.study.name

    @property
    def spec(self) -> Mapping[str, Any]:
        """The ladder; its runs are inputs."""
        return {"scaling": self.plan.scaling.model_dump(mode="json"), "name": self.name}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """Every run, and what it was asked."""
        steps: list[Step] = [run.step for run in self.runs]
        steps += self.plan.asked(self.runs)
        return {f"input-{number:05}": step for number, step in enumerate(steps)}

    @property
    def status(self) -> str:
        """How the report calls the ladder."""
        planned = len(self.plan.runs) + len(self.plan.tuned)
        missing = planned - len(self.runs)
        return f"finished without {missing} of {planned} runs" if missing else "finished"

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write the report, a summary, the laws as JSON and the tables as CSV."""
        del inputs
        findings = findings_of(self.plan, session.store)
        tables = findings.tables
        tables.runs.to_csv(folder / RUNS, index=False)
        tables.items.to_csv(folder / ITEMS, index=False)
        tables.along.to_csv(folder / CURVES, index=False)
        content = content_of(self.plan, session.store, findings, self.status)
        (folder / REPORT).write_text(render_ladder(content), encoding="utf-8")
        (folder / SUMMARY).write_text("\n".join(headline(findings)) + "\n", encoding="utf-8")
        plain = findings_to_plain(findings)
        (folder / LAWS).write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        return {"runs": len(tables.runs)}


def findings_of(plan: LadderPlan, store: Store) -> LadderFindings:
    """What can be said about the runs that are there."""
    return ladder_findings(read_tables(plan, store), seed=plan.study.seed)


def content_of(
    plan: LadderPlan, store: Store, findings: LadderFindings, status: str
) -> LadderContent:
    """The report's content."""
    code, device = provenance.code_version(), provenance.device_description()
    return LadderContent(
        study=plan.study.name,
        status=status,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        findings=findings,
        sizes=[one.row for one in size_costs(plan, store)],
        schedules=schedules_of(plan),
        provenance={
            "curricle": f"{code['version']}, commit {code.get('commit') or 'not a git checkout'}",
            "device": f"{device['processor']}, {device['cores']} cores, {device['system']}",
            "store": plan.study.store,
        },
        spec=_as_yaml(plan),
    )


def findings_to_plain(found: LadderFindings) -> dict[str, Any]:
    """The findings as JSON values, without tables."""
    return {
        "laws": {name: fit.to_plain() for name, fit in found.laws.items()},
        "breaks": {name: finding.to_plain() for name, finding in found.breaks.items()},
        "comparison": to_plain(found.comparison) if found.comparison else None,
        "final": [to_plain(one) for one in found.final],
        "by_budget": _by_name(found.by_budget),
        "by_domain": _by_name(found.by_domain),
        "unread": list(found.tables.unread),
        "stages": [to_plain(one) for one in found.gains],
        "families": [to_plain(one) for one in found.families],
        "tuned": [to_plain(one) for one in found.tuned],
        "tuned_loss": _by_name(found.tuned_loss),
        "tokens_to_reach": to_plain(found.reach) if found.reach else None,
        "recommendations": [to_plain(one) for one in found.recommendations],
        "left_out": [to_plain(one) for one in found.left_out],
        "interactions": [to_plain(one) for one in found.interactions],
        "jumps": [
            {"curriculum": name, "stage": stage, "verdict": jump.verdict, "reason": jump.reason}
            for (name, stage), jump in found.jumps.items()
        ],
        "notes": list(found.notes),
    }


def _by_name(found: Mapping[Any, Sequence[Difference]]) -> dict[str, Any]:
    return {str(name): [to_plain(one) for one in every] for name, every in found.items()}


def schedules_of(plan: LadderPlan) -> dict[tuple[str, float], str]:
    """What is read when, by curriculum and size, at the largest budget.

    Where stages are domains it is a curriculum with `pacing: stages` for a study of that size.
    """
    return {
        (name, float(size.parameters)): _as_stages(plan.segments(name, size))
        for size in plan.grid.sizes
        for name in plan.scaling.curricula
    }


def schedule_for(plan: LadderPlan, curriculum: str, tokens: int) -> str:
    """The same for a run of so many tokens: the shares are those at the largest size."""
    parts = plan.segments(curriculum, plan.grid.sizes[-1])
    total = sum(count for _, count in parts)
    ends = [0]
    for _, count in parts:
        ends.append(ends[-1] + count)
    scaled = [tokens * end // total for end in ends]
    return _as_stages([(what, scaled[i + 1] - scaled[i]) for i, (what, _) in enumerate(parts)])


def _as_stages(parts: Sequence[tuple[str, int]]) -> str:
    return f"stages: [{', '.join(map(_segment, parts))}]"


def _segment(part: tuple[str, int]) -> str:
    what, tokens = part
    return f"{{tokens: {tokens}}}" if what == MIX else f"{{tokens: {tokens}, mix: {{{what}: 1}}}}"


def _as_yaml(plan: LadderPlan) -> str:
    stream = io.StringIO()
    plain = json.loads(json.dumps(to_plain(plan.study.model_dump(mode="json"))))
    YAML().dump(plain, stream)
    return stream.getvalue()
