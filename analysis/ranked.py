"""A ranking as data: what `curricle.analysis.ranking.rank` returns and `ranking.json` holds."""

from dataclasses import dataclass

import numpy as np

from curricle.analysis.cautions import Caution
from curricle.analysis.verdicts import Verdict
from curricle.core.errors import InputError

CANDIDATE = "candidate"
BAD_CONTROL = "bad-control"


@dataclass(frozen=True, kw_only=True)
class RankedRecipe:
    """One recipe's place. None stands where the table allows no statement.

    - `seed_values`: the runs' values in the order of `Ranking.seeds`; `mean`: adjusted for missing
      seeds.
    - `low` to `high`: the comparison interval, for plots: recipes whose intervals don't overlap
      differ.
    - `difference`: mean - baseline's mean, with its simultaneous interval and adjusted p-value.
    - `best_rank` to `worst_rank`: the rank set, from 1 + the number of recipes surely better to
      n - the number surely worse; joint over candidates, with controls a family of its own.
    - `probability_best`: chance of having the lowest true mean of all candidates (flat prior);
      too high for the first of many nearly equal recipes (docs/ranking.md).
    - `rank_low` to `rank_high`: a candidate's rank among the candidates in the middle 95 % (the
      ranking's confidence) of 10,000 draws; of this recipe alone, where rank sets hold jointly.
    - `seeds_to_settle`: for an open verdict, the smallest number of seeds per recipe at which a
      difference as large as this one would be significant; None for more than `SEED_CAP`.
    """

    recipe: str
    role: str
    seed_values: tuple[float | None, ...]
    mean: float
    low: float | None
    high: float | None
    difference: float
    difference_low: float | None
    difference_high: float | None
    p_value: float | None
    verdict: Verdict
    seeds_to_settle: int | None
    rank: int
    best_rank: int
    worst_rank: int
    probability_best: float | None
    rank_low: int | None = None
    rank_high: int | None = None

    @property
    def is_candidate(self) -> bool:
        """Whether the recipe may be chosen, rather than being a control."""
        return self.role == CANDIDATE

    @property
    def runs(self) -> int:
        """How many runs have a value."""
        return sum(value is not None for value in self.seed_values)


@dataclass(frozen=True, kw_only=True)
class PairComparison:
    """Two recipes: `difference` is `first` - `second`, and the verdict is on `first`."""

    first: str
    second: str
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    verdict: Verdict
    seeds_to_settle: int | None


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Recipes from best to worst and all pairs of them.

    `standard_deviation` is that of one run after the recipe's and the seed's effect are out, pooled
    over candidates. `seed_agreement` is the mean Spearman correlation between seeds over
    candidates. `order_only` recipes were set aside, `missing` ones have no value.
    """

    baseline: str
    confidence: float
    model: str
    seeds: tuple[str, ...]
    standard_deviation: float | None
    degrees_of_freedom: int
    seed_agreement: float | None
    recipes: tuple[RankedRecipe, ...]
    pairs: tuple[PairComparison, ...]
    order_only: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    cautions: tuple[Caution, ...] = ()

    @property
    def candidates(self) -> tuple[RankedRecipe, ...]:
        """The recipes that may be chosen, best first."""
        return tuple(item for item in self.recipes if item.is_candidate)

    @property
    def best(self) -> RankedRecipe:
        """The candidate with the lowest mean."""
        return self.candidates[0]

    @property
    def leaders(self) -> tuple[RankedRecipe, ...]:
        """The candidates that no other candidate surely beats."""
        names = {item.recipe for item in self.candidates}
        beaten = {
            pair.second if pair.verdict == "better" else pair.first
            for pair in self.pairs
            if pair.verdict != "cannot tell" and {pair.first, pair.second} <= names
        }
        return tuple(item for item in self.candidates if item.recipe not in beaten)

    def __getitem__(self, recipe: str) -> RankedRecipe:
        """The entry of a recipe. Raises KeyError if it isn't ranked."""
        for item in self.recipes:
            if item.recipe == recipe:
                return item
        raise KeyError(recipe)

    def __contains__(self, recipe: object) -> bool:
        return any(item.recipe == recipe for item in self.recipes)


def representatives(ranking: Ranking, count: int) -> tuple[str, ...]:
    """`count` recipes to train at the target's size: the best candidate, the worst control if there
    is one (else the last candidate), and candidates evenly spaced between.

    Raises InputError for fewer than two; all recipes if there aren't more than `count`.
    """
    if count < 2:
        raise InputError(
            f"{count} recipes to confirm", expected="at least 2", fix="raise the number"
        )
    controls = [item.recipe for item in ranking.recipes if item.role == BAD_CONTROL]
    candidates = [item.recipe for item in ranking.candidates]
    places = count - 1 if controls else count
    index = np.unique(np.linspace(0, len(candidates) - 1, places + bool(controls)).round())
    chosen = [candidates[int(i)] for i in index][:places]
    return tuple(chosen + controls[-1:])
