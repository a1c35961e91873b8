"""Rankings of scores, of which the highest is best.

Everything is computed on losses. Scores are ranked as their negatives, and the result is turned
round here: the order, ranks, verdicts and regrets stay as they are.
"""

from collections.abc import Mapping
from dataclasses import replace

from curricle.analysis.agreement import Flip
from curricle.analysis.methods import MethodAgreement, Methods
from curricle.analysis.ranked import PairComparison, RankedRecipe, Ranking


def turned(ranking: Ranking) -> Ranking:
    """The ranking of negated scores as one of the scores."""
    return replace(
        ranking,
        recipes=tuple(_turned_recipe(item) for item in ranking.recipes),
        pairs=tuple(_turned_pair(pair) for pair in ranking.pairs),
    )


def turned_all(rankings: Mapping[str, Ranking]) -> dict[str, Ranking]:
    """Each of `rankings`, turned."""
    return {name: turned(ranking) for name, ranking in rankings.items()}


def turned_methods(methods: Methods) -> Methods:
    """The same with the differences of flipped pairs as those of scores.

    A regret is how much higher the best score is than the chosen one's, and stays as it is.
    """
    return replace(methods, agreements=tuple(_turned_agreement(x) for x in methods.agreements))


def _turned_recipe(item: RankedRecipe) -> RankedRecipe:
    return replace(
        item,
        seed_values=tuple(_minus(value) for value in item.seed_values),
        mean=-item.mean,
        low=_minus(item.high),
        high=_minus(item.low),
        difference=-item.difference,
        difference_low=_minus(item.difference_high),
        difference_high=_minus(item.difference_low),
    )


def _turned_pair(pair: PairComparison) -> PairComparison:
    return replace(pair, difference=-pair.difference, low=_minus(pair.high), high=_minus(pair.low))


def _turned_agreement(item: MethodAgreement) -> MethodAgreement:
    flips = tuple(_turned_flip(flip) for flip in item.agreement.flips)
    return replace(item, agreement=replace(item.agreement, flips=flips))


def _turned_flip(flip: Flip) -> Flip:
    return replace(
        flip,
        proxy_difference=-flip.proxy_difference,
        target_difference=-flip.target_difference,
    )


def _minus(value: float | None) -> float | None:
    return None if value is None else -value
