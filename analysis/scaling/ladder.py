"""All there is to say about a ladder of runs: laws, breaks, differences, a recommendation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pandas as pd

from curricle.analysis.scaling.breaks import BreakFinding, find_breaks
from curricle.analysis.scaling.curricula import CurriculaFit, compare_curricula
from curricle.analysis.scaling.differences import Difference, differences
from curricle.analysis.scaling.dynamics import tokens_to_reach
from curricle.analysis.scaling.fitting import ScalingFit, fit_chinchilla
from curricle.analysis.scaling.interaction import Interaction, interactions
from curricle.analysis.scaling.link import JumpFinding, explain_jump
from curricle.analysis.scaling.points import chinchilla_points, power_points
from curricle.analysis.scaling.progression import (
    LeftOutSize,
    ProgressionModel,
    Recommendation,
    progression_model,
)
from curricle.core.errors import InputError

T = TypeVar("T")
MEAN = "mean"


@dataclass(frozen=True, kw_only=True)
class LadderTables:
    """What was measured. All tables have curriculum, parameters and seed.

    - `runs`: also schedule, budget (a number from 0 on), size, tokens, flops, tuned, loss (mean
      over the domains that were read);
    - `losses`: also schedule, budget, tuned, domain, loss;
    - `items`: also schedule, budget, tuned, stage, family, held_out, accuracy, chance, nats; may be
      empty;
    - `along`: also tokens, domain, loss, along the runs under the main schedule.

    Domains and stages have the same names where stages are domains. `stages` go from simple to
    complex; `tuned_on` is the stage that fine-tuned models went on with. `unread` are domains that
    the mix leaves out: their held-out losses tell how far what was learned carries.
    """

    runs: pd.DataFrame
    losses: pd.DataFrame
    items: pd.DataFrame
    along: pd.DataFrame
    control: str
    main_schedule: str
    stages: tuple[str, ...]
    tuned_on: str | None = None
    unread: tuple[str, ...] = ()

    @property
    def main(self) -> pd.DataFrame:
        """The runs under the main schedule, without fine-tuned ones."""
        return _main(self.runs, self.main_schedule)

    @property
    def curves(self) -> pd.DataFrame:
        """`along`, mean over the domains read: curriculum, parameters, seed, tokens, loss."""
        keys = ["curriculum", "parameters", "seed", "tokens"]
        read = self.along[~self.along["domain"].isin(self.unread)]
        return read.groupby(keys, sort=False)["loss"].mean().reset_index()

    @property
    def largest(self) -> int:
        """The largest budget."""
        return int(self.runs["budget"].max())

    def at_largest(self, table: pd.DataFrame, *, tuned: bool = False) -> pd.DataFrame:
        """The rows of the largest budget under the main schedule."""
        rows = table[(table["schedule"] == self.main_schedule) & (table["tuned"] == tuned)]
        return rows[rows["budget"] == self.largest]


@dataclass(frozen=True, kw_only=True)
class StageGain:
    """Accuracy on a stage's items: the control's, and every curriculum's difference to it.

    Of one `family` of the stage, or of all that are alike: `held_out` tells families that no
    training text has from those that it has.
    """

    stage: str
    family: str | None
    held_out: bool
    chance: float
    control: float
    accuracy: tuple[Difference, ...]
    nats: tuple[Difference, ...]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Tokens to reach the static mix's last loss: differences of logs, shares that got there."""

    differences: tuple[Difference, ...]
    reached: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class LadderFindings:
    """The findings; `notes` say what couldn't be found and why.

    `laws` in parameters and tokens by curriculum; `comparison` and `breaks` in parameters at the
    largest budget; `jumps` by curriculum and stage. `final` and `by_domain` are losses at the
    largest budget, `by_budget` at each one; `tuned_loss` (by domain, and their mean as MEAN) and
    `tuned` (accuracies) are after fine-tuning.
    """

    tables: LadderTables
    laws: Mapping[str, ScalingFit]
    comparison: CurriculaFit | None
    breaks: Mapping[str, BreakFinding]
    jumps: Mapping[tuple[str, str], JumpFinding]
    final: tuple[Difference, ...]
    by_domain: Mapping[str, tuple[Difference, ...]]
    by_budget: Mapping[int, tuple[Difference, ...]]
    gains: tuple[StageGain, ...]
    families: tuple[StageGain, ...]
    reach: Reach | None
    progression: ProgressionModel | None
    left_out: tuple[LeftOutSize, ...]
    recommendations: tuple[Recommendation, ...]
    interactions: tuple[Interaction, ...]
    tuned: tuple[StageGain, ...]
    tuned_loss: Mapping[str, tuple[Difference, ...]]
    notes: tuple[str, ...]


class _Notes:
    """Tries analyses; what a table is too small for becomes a note."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def attempt(self, what: str, analysis: Callable[[], T]) -> T | None:
        try:
            return analysis()
        except InputError as error:
            self.lines.append(f"{what}: {error.found}, needs {error.expected}")
            return None


def ladder_findings(
    tables: LadderTables, *, bootstrap: int = 1000, seed: int = 0
) -> LadderFindings:
    """All analyses that the tables are large enough for."""
    notes, control = _Notes(), tables.control
    main, last = tables.main, tables.at_largest(tables.runs)
    curricula = list(dict.fromkeys(main["curriculum"]))
    laws: dict[str, ScalingFit] = {}
    breaks: dict[str, BreakFinding] = {}
    for name in curricula:
        fit_law = partial(_law, main[main["curriculum"] == name], bootstrap, seed)
        if law := notes.attempt(f"law of {name}", fit_law):
            laws[name] = law
        find = partial(_breaks, last[last["curriculum"] == name], bootstrap, seed)
        if found := notes.attempt(f"breaks of {name}", find):
            breaks[name] = found
    model = notes.attempt("progression model", partial(progression_model, main, control))
    compare = partial(compare_curricula, last, control, bootstrap=bootstrap, seed=seed)
    return LadderFindings(
        tables=tables,
        laws=laws,
        comparison=notes.attempt("exponents", compare),
        breaks=breaks,
        jumps=_jumps(tables, curricula, notes),
        final=differences(last, "loss", control),
        by_domain=_by_domain(tables),
        by_budget={
            int(str(budget)): differences(rows, "loss", control)
            for budget, rows in main.groupby("budget")
        },
        gains=_gains(tables),
        families=_gains(tables, each_family=True),
        reach=_reach(tables),
        progression=model,
        left_out=model.leave_sizes_out() if model else (),
        recommendations=_recommendations(tables, model, laws.get(control)) if model else (),
        interactions=interactions(
            tables.runs[~tables.runs["tuned"]], control, tables.main_schedule
        ),
        tuned=_gains(tables, tuned=True),
        tuned_loss=_tuned_loss(tables),
        notes=tuple(notes.lines),
    )


def recommend(tables: LadderTables, parameters: float, tokens: float) -> Recommendation:
    """What to train under at any size and number of tokens.

    Raises InputError if the ladder has too few finished runs to say.
    """
    main = tables.main
    model = progression_model(main, tables.control)
    law = _law(main[main["curriculum"] == tables.control], 0, 0)
    return model.recommend(parameters, tokens, _loss(law, parameters, tokens))


def _main(table: pd.DataFrame, schedule: str) -> pd.DataFrame:
    return table[(table["schedule"] == schedule) & ~table["tuned"]]


def _law(rows: pd.DataFrame, bootstrap: int, seed: int) -> ScalingFit:
    points = chinchilla_points(rows, "parameters", "loss", tokens="tokens")
    # Budgets of one size and seed share a trunk.
    runs = rows.groupby(["parameters", "seed"], sort=False).ngroup().to_numpy()
    groups = np.asarray(runs, dtype=np.int64)
    return fit_chinchilla(points, bootstrap=bootstrap, seed=seed, groups=groups)


def _breaks(rows: pd.DataFrame, bootstrap: int, seed: int) -> BreakFinding:
    points = power_points(rows, "parameters", "loss")
    return find_breaks(points, bootstrap=bootstrap, seed=seed)


def _jumps(
    tables: LadderTables, curricula: Sequence[str], notes: _Notes
) -> dict[tuple[str, str], JumpFinding]:
    """Accuracy against the loss on the same stage; only where stages are domains."""
    found: dict[tuple[str, str], JumpFinding] = {}
    if not len(tables.items):
        return found
    keys = ["curriculum", "parameters", "seed"]
    items, losses = tables.at_largest(tables.items), tables.at_largest(tables.losses)
    for stage in tables.stages:
        asked = items[(items["stage"] == stage) & ~items["held_out"]]
        scores = asked.groupby(keys)[["accuracy", "chance"]].mean().reset_index()
        both = scores.merge(losses[losses["domain"] == stage], on=keys)
        for name in curricula:
            rows = both[both["curriculum"] == name]
            if not len(rows):
                continue
            if jump := notes.attempt(f"jump of {name} in {stage}", partial(_jump, rows)):
                found[name, stage] = jump
    return found


def _jump(rows: pd.DataFrame) -> JumpFinding:
    x, loss, accuracy = rows[["parameters", "loss", "accuracy"]].to_numpy(dtype=float).T
    return explain_jump(x, loss, accuracy, float(rows["chance"].mean()))


def _by_domain(tables: LadderTables, *, tuned: bool = False) -> dict[str, tuple[Difference, ...]]:
    rows = tables.at_largest(tables.losses, tuned=tuned)
    return {
        str(domain): differences(mine, "loss", tables.control)
        for domain, mine in rows.groupby("domain", sort=False)
    }


def _tuned_loss(tables: LadderTables) -> dict[str, tuple[Difference, ...]]:
    runs = tables.at_largest(tables.runs, tuned=True)
    if not len(runs):
        return {}
    mean = differences(runs, "loss", tables.control)
    return {MEAN: mean, **_by_domain(tables, tuned=True)}


def _gains(
    tables: LadderTables, *, tuned: bool = False, each_family: bool = False
) -> tuple[StageGain, ...]:
    if not len(tables.items):
        return ()
    items = tables.at_largest(tables.items, tuned=tuned)
    parts = items.assign(part=items["family"] if each_family else "")
    return tuple(
        _gain(tables.control, stage, str(family) or None, bool(held_out), rows)
        for stage in tables.stages
        for (held_out, family), rows in parts[parts["stage"] == stage].groupby(["held_out", "part"])
    )


def _gain(
    control: str, stage: str, family: str | None, held_out: bool, asked: pd.DataFrame
) -> StageGain:
    keys = ["curriculum", "parameters", "seed"]
    rows = asked.groupby(keys, sort=False)[["accuracy", "chance", "nats"]].mean().reset_index()
    return StageGain(
        stage=stage,
        family=family,
        held_out=held_out,
        chance=float(rows["chance"].mean()),
        control=float(rows[rows["curriculum"] == control]["accuracy"].mean()),
        accuracy=differences(rows, "accuracy", control, lower_is_better=False),
        nats=differences(rows, "nats", control),
    )


def _reach(tables: LadderTables) -> Reach | None:
    if not len(tables.along):
        return None
    rows = tokens_to_reach(tables.curves, tables.control)
    shares = rows.groupby("curriculum")["reached"].mean()
    return Reach(
        differences=differences(rows, "log_ratio", tables.control),
        reached={str(name): float(share) for name, share in shares.items()},
    )


def _recommendations(
    tables: LadderTables, model: ProgressionModel, law: ScalingFit | None
) -> tuple[Recommendation, ...]:
    """At every size's largest budget, and at ten times the largest size and its tokens."""
    last = tables.at_largest(tables.runs).drop_duplicates("parameters").sort_values("parameters")
    points = [(float(n), float(d)) for n, d in last[["parameters", "tokens"]].to_numpy(float)]
    points.append((10 * points[-1][0], 10 * points[-1][1]))
    return tuple(model.recommend(n, d, _loss(law, n, d)) for n, d in points)


def _loss(law: ScalingFit | None, parameters: float, tokens: float) -> float | None:
    if law is None:
        return None
    p = law.parameters
    return float(p["E"] + p["A"] * parameters ** -p["alpha"] + p["B"] * tokens ** -p["beta"])
