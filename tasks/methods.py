"""The target check: which cheap way of ranking recipes agrees with the tuned target's ranking."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, ClassVar, Literal

import pandas as pd

from curricle.analysis.results import AVERAGE
from curricle.analysis.table_ranking import TableRanking, rank_table
from curricle.core.plain import from_plain, to_plain
from curricle.core.store import Store
from curricle.recipes.specs.training import Setting
from curricle.tasks.baselines import BaselineStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step
from curricle.tasks.train import TrainingStep

METHODS = "methods.json"

Losses = Mapping[str, float]
Value = tuple[str, int, Losses, float]
"""Recipe, seed, loss by domain, FLOPs of the run."""


@dataclass(frozen=True)
class Method:
    """A way to rank: proxies at one setting, or another number that stands for the loss.

    `how`: `end` takes the runs' final losses; `stopped` those after `tokens`, at the cost of as
    many; `tuned` each recipe's best setting, at the cost of all; `unigram`, `bigram`,
    `training_loss` and `gain` are measured without training.
    """

    name: str
    how: Literal["end", "stopped", "tuned", "unigram", "bigram", "training_loss", "gain"]
    steps: tuple[TrainingStep | BaselineStep, ...]
    tokens: int | None = None

    @property
    def recipes(self) -> set[str]:
        """The recipes that it says something of."""
        return {
            step.run.recipe if isinstance(step, BaselineStep) else step.recipe
            for step in self.steps
        }

    def values(self, store: Store) -> Iterator[Value]:
        """What it says of each recipe with each seed; all its steps must be there."""
        runs = [step for step in self.steps if isinstance(step, TrainingStep)]
        if self.how == "tuned":
            yield from _tuned(runs, store)
        for run in runs if self.how in ("end", "stopped") else ():
            losses = run.losses_along(store)
            tokens = self.tokens or run.training.tokens
            if tokens in losses:
                share = tokens / run.training.tokens
                yield run.recipe, run.training.seed, losses[tokens], share * run.flops
        for step in self.steps:
            if isinstance(step, BaselineStep):
                yield self._measured(step, store)

    def _measured(self, step: BaselineStep, store: Store) -> Value:
        facts = step.facts(store)
        found = facts[self.how]
        sign = -1 if self.how == "gain" else 1  # the more a recipe gains, the better it is
        losses = found if isinstance(found, dict) else {AVERAGE: sign * found}
        return step.run.recipe, step.run.training.seed, losses, float(facts["flops"])


@dataclass(frozen=True)
class MethodsStep(Step):
    """Every method's ranking beside that of the target, tuned for each recipe."""

    kind: ClassVar[str] = "ranking"
    verb: ClassVar[str] = "compare methods"
    version: ClassVar[int] = 3
    title: str
    methods: tuple[Method, ...]
    targets: tuple[TrainingStep, ...]
    baseline: str
    roles: Mapping[str, str]
    dimensions: Mapping[str, str]

    @property
    def name(self) -> str:
        """Whose target it is."""
        return self.title

    @property
    def spec(self) -> Mapping[str, Any]:
        """Who is compared, and the methods."""
        return {
            "baseline": self.baseline,
            "roles": dict(self.roles),
            "dimensions": dict(self.dimensions),
            "targets": len(self.targets),
            "methods": [
                {"name": one.name, "how": one.how, "tokens": one.tokens, "steps": len(one.steps)}
                for one in self.methods
            ],
        }

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The targets, and each method's steps."""
        steps = [*self.targets, *(step for method in self.methods for step in method.steps)]
        return {f"input-{number:04}": step for number, step in enumerate(steps)}

    def build(self, session: Session, inputs: Mapping[str, Path], folder: Path) -> None:
        """Write `methods.json`."""
        del inputs
        result = rank_table(self._table(session.store), baseline=self.baseline)
        text = json.dumps(to_plain(result), indent=1) + "\n"
        (folder / METHODS).write_text(text, encoding="utf-8")

    def read(self, store: Store) -> TableRanking:
        """What was found."""
        text = (store.folder(self.artifact) / METHODS).read_text(encoding="utf-8")
        return from_plain(TableRanking, json.loads(text))

    def _table(self, store: Store) -> pd.DataFrame:
        parts = [("proxy", method) for method in self.methods]
        parts.append(("target", Method("target", "end", self.targets)))
        return pd.DataFrame(
            {
                "stage": stage,
                "method": method.name,
                "recipe": recipe,
                "seed": seed,
                "domain": domain,
                "value": loss,
                "flops": flops,
                "role": self.roles[recipe],
                "dimension": self.dimensions[recipe],
            }
            for stage, method in parts
            for recipe, seed, losses, flops in method.values(store)
            for domain, loss in losses.items()
        )


def _tuned(runs: Sequence[TrainingStep], store: Store) -> Iterator[Value]:
    """Each recipe at the setting with its lowest mean loss; all settings are paid for."""
    by_recipe: dict[str, dict[Setting, list[TrainingStep]]] = {}
    for run in runs:
        by_recipe.setdefault(run.recipe, {}).setdefault(run.setting, []).append(run)
    for recipe, by_setting in by_recipe.items():
        loss = {
            setting: mean(run.average_loss(store) for run in tried)
            for setting, tried in by_setting.items()
        }
        best = by_setting[min(loss, key=lambda setting: (loss[setting], setting))]
        spent = sum(run.flops for tried in by_setting.values() for run in tried) / len(best)
        for run in best:
            yield recipe, run.training.seed, run.final_losses(store), spent
