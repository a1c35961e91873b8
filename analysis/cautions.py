"""Failure signatures: named warnings, each explained in one sentence."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from curricle.analysis.observations import seed_agreement, value_matrix
from curricle.core.bootstrap import LEAST_DOCUMENTS, Interval

Floats = npt.NDArray[np.float64]

MINIMUM_SEED_AGREEMENT = 0.5
MINIMUM_SEEDS = 3
MINIMUM_RHO = 0.7
MINIMUM_DROP = 0.005
"""A proxy whose loss fell by less than this share of its first value has not moved.

None of the four thresholds is from the literature, but the standard rate stays below a rho of 0.75
in arXiv 2512.24503, where it misled; a pilot that still ranked recipes usefully had
a seed agreement of 0.57 and a drop of 2.5 %.
"""


@dataclass(frozen=True, kw_only=True)
class Caution:
    """A reason to trust a result less. `name` is fixed vocabulary, `text` one sentence."""

    name: str
    recipes: tuple[str, ...] = ()
    text: str


def tuned_at_edge_caution(end: str, recipes: Sequence[str]) -> Caution:
    """For targets that are best at the `end`, highest or lowest, of the rates tried for them."""
    word = "higher" if end == "highest" else "lower"
    return Caution(
        name="tuned-rate-at-edge",
        recipes=tuple(recipes),
        text=f"The target is best at the {end} rate tried for {_listed(recipes)}, so it may not be "
        f"tuned there: add a {word} rate to target.tuning.learning_rates.",
    )


def order_only_caution(recipes: Sequence[str]) -> Caution:
    """For recipes that are another recipe's samples in another order."""
    return Caution(
        name="order-only",
        recipes=tuple(recipes),
        text=f"Not rankable at a tiny rate: {_listed(recipes)}; what a proxy learns at a tiny rate "
        "adds up whatever the order of the samples, so order is judged at the standard rate alone.",
    )


def design_cautions(values: Floats, recipes: Sequence[str], *, blocked: bool) -> Iterator[Caution]:
    """What the table `values` (R, S) itself lacks: seeds, runs, shared seeds."""
    present = np.isfinite(values)
    fewest = int(present.sum(axis=1).min())
    if fewest < MINIMUM_SEEDS:
        thin = [name for name, row in zip(recipes, present, strict=True) if row.sum() == fewest]
        counted = "1 seed" if fewest == 1 else f"{fewest} seeds"
        yield Caution(
            name="too-few-seeds",
            recipes=tuple(thin),
            text=f"Only {counted} for {_listed(thin)}: run at least {MINIMUM_SEEDS} before "
            "believing a verdict.",
        )
    if missing := int((~present).sum()) if blocked else 0:
        thin = [name for name, row in zip(recipes, present, strict=True) if not row.all()]
        yield Caution(
            name="missing-runs",
            recipes=tuple(thin),
            text=f"{missing} of {present.size} runs have no value ({_listed(thin)}): means are "
            "adjusted for the seeds that are missing, and their intervals are wider.",
        )
    if not blocked:
        yield Caution(
            name="unpaired-seeds",
            text="The recipes don't share enough seeds to take the seeds' own effect out, so it "
            "counts as noise.",
        )


def no_recipe_values_caution(recipes: Sequence[str]) -> Caution:
    """For recipes none of whose runs has a value."""
    return Caution(
        name="no-values",
        recipes=tuple(recipes),
        text=f"Left out, since no run of it has a value: {_listed(recipes)}.",
    )


def few_documents_caution() -> Caution:
    """For values by document that don't allow an interval over documents."""
    return Caution(
        name="few-documents",
        text=f"Fewer than {LEAST_DOCUMENTS} documents in a domain, or not the same for all "
        "recipes: the intervals are about these documents alone.",
    )


def noise_caution(variance: float | None) -> Caution | None:
    """For tables without noise, or without a way to estimate it."""
    if variance is None:
        return Caution(
            name="no-error-estimate",
            text="There are no repeated runs to estimate the noise from, so no comparison has an "
            "interval and none can be decided.",
        )
    if variance == 0.0:
        return Caution(
            name="no-noise",
            text="All seeds give exactly the same differences: either the values are deterministic "
            "or the seed is not used, and then the verdicts mean nothing.",
        )
    return None


def seed_caution(agreement: float | None) -> Caution | None:
    """For seeds that rank the candidates differently."""
    if agreement is None or agreement >= MINIMUM_SEED_AGREEMENT:
        return None
    return Caution(
        name="seeds-disagree",
        text=f"The seeds rank the candidates differently (mean Spearman {agreement:.2f} between "
        "seeds): the recipes are nearly equal, or the runs too short for a signal.",
    )


def agreement_caution(
    method: str, spearman: Interval | None, ceiling: Interval | None
) -> Caution | None:
    """For a method whose ranking says little about the target's.

    `spearman` is its correlation with the target's ranking, `ceiling` the one that a perfect method
    would have in spite of the target's noise.
    """
    if spearman is None or spearman.value >= MINIMUM_RHO:
        return None
    text = f"{method} agrees with the target by rho = {spearman.value:.2f} only, "
    if ceiling is not None and noise_may_explain(spearman, ceiling):
        text += (
            "and the target's own noise, which keeps any method to about "
            f"{ceiling.value:.2f}, may be why: give the target more seeds."
        )
    else:
        text += f"less than {MINIMUM_RHO}: the rankings disagree, don't choose a recipe by it."
    return Caution(name="low-agreement", recipes=(), text=text)


def noise_may_explain(spearman: Interval, ceiling: Interval) -> bool:
    """Whether the target's noise alone may keep a method's `spearman` below what is asked for.

    That takes a ceiling that may be as low, and a correlation that may be as high as the ceiling.
    Without an interval over recipes the correlation itself must be.
    """
    most = spearman.value if spearman.high is None else spearman.high
    least = ceiling.value if ceiling.low is None else ceiling.low
    return least < MINIMUM_RHO and most >= least


def bad_control_caution(recipe: str, *, last: bool, worse: bool) -> Caution | None:
    """For an artificially bad recipe that isn't last, or not surely worse than the baseline."""
    if last and worse:
        return None
    found = (
        "does not come last" if not last else "comes last, but not surely worse than the baseline"
    )
    return Caution(
        name="bad-control-not-worst",
        recipes=(recipe,),
        text=f"The bad control {recipe} {found}: these runs cannot see even gross damage, so don't "
        "trust the rest of the ranking.",
    )


def movement_cautions(
    table: pd.DataFrame,
    initial_losses: Mapping[int, float],
    candidates: Collection[str],
    *,
    lower_is_better: bool = True,
) -> tuple[Caution, ...]:
    """The `candidates` whose proxies have not moved, from columns recipe, seed, value.

    `initial_losses` is the loss of the untrained model per seed: the same for all recipes. Where
    the seeds rank the candidates alike they have moved, however little: a tiny rate needs no more.
    A control would make any seeds look alike, and a bad one has learnt what doesn't help.
    """
    table = table[table["recipe"].isin(list(candidates))]
    if not len(table):
        return ()
    agreement = seed_agreement(value_matrix(table, "recipe"))
    if agreement is not None and agreement >= MINIMUM_SEED_AGREEMENT:
        return ()
    start = table["seed"].map(initial_losses)
    drop = (start - table["value"]) / start.abs() * (1 if lower_is_better else -1)
    mean = drop.groupby(table["recipe"]).mean()
    still = [str(name) for name in mean.index[mean < MINIMUM_DROP]]
    if not still:
        return ()
    return (
        Caution(
            name="not-moved",
            recipes=tuple(still),
            text=f"The loss fell by less than {MINIMUM_DROP:.1%} for {_listed(still)}: raise the "
            "learning rate or the tokens until the proxies learn something.",
        ),
    )


def _listed(names: Sequence[str], limit: int = 4) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
