"""What to run next: the cheapest step that would settle the most interesting open question."""

from collections.abc import Iterator, Set

from curricle.analysis.content import ReportContent
from curricle.analysis.costs import Costs
from curricle.analysis.formatting import counted, flops
from curricle.analysis.ranked import PairComparison, Ranking


def next_steps(content: ReportContent) -> Iterator[str]:
    """One sentence each, most urgent first; nothing while there is no ranking.

    The seeds are what would make a difference as large as the observed one significant: the true
    difference may be smaller, so they are a lower bound in spirit and even odds in practice.
    """
    ranking = content.tiny
    if not ranking:
        return
    broken = {caution.name for caution in (*content.cautions, *ranking.cautions)}
    if broken & {"bad-control-not-worst", "not-moved"}:
        yield (
            "Give the proxies more tokens or a higher tiny rate and rank again, until the bad "
            "control loses."
        )
        return
    yield from _settle_recipes(content, ranking)
    yield from _settle_curricula(content)
    if not content.confirmation and len(ranking.leaders) == 1:
        yield f"Confirm {ranking.best.recipe} at the target's size."


def _settle_recipes(content: ReportContent, ranking: Ranking) -> Iterator[str]:
    pair = _open_pair(ranking)
    if not pair:
        return
    if pair.seeds_to_settle is None:
        yield (
            f"{pair.first} and {pair.second} are too close for 100 seeds to separate: take the "
            "cheaper or simpler one."
        )
        return
    more = pair.seeds_to_settle - len(ranking.seeds)
    runs = more * (len(ranking.recipes))
    yield (
        f"{counted(more, 'more proxy seed')} ({pair.seeds_to_settle} in all) would settle "
        f"{pair.first} against {pair.second}, if the difference is what it looks like"
        f"{_priced(content.costs, 'proxy', runs)}."
    )


def _open_pair(ranking: Ranking) -> PairComparison | None:
    """The best candidate against the most likely rival, or the baseline if that is open."""
    best = ranking.best.recipe
    names = {item.recipe for item in ranking.candidates}
    pairs = (pair for pair in ranking.pairs if best in (pair.first, pair.second))
    pairs = (pair for pair in pairs if {pair.first, pair.second} <= names and pair.p_value != 1.0)
    return next((pair for pair in pairs if pair.verdict == "cannot tell"), None)


def _settle_curricula(content: ReportContent) -> Iterator[str]:
    """The open comparison of a curriculum that takes the fewest seeds."""
    settling = [
        (item.seeds_to_settle - item.pairs, item)
        for item in content.averages()
        if item.verdict == "cannot tell" and item.arm in content.curricula
        if item.seeds_to_settle is not None
    ]
    if not settling:
        return
    more, item = min(settling, key=lambda found: found[0])
    scores = more * _scores_of_a_seed(content, {item.arm, item.control})
    yield (
        f"{counted(more, 'more target seed')} ({item.seeds_to_settle} in all) would settle "
        f"{item.arm} against {item.control}, if the difference is what it looks like"
        f"{_priced(content.costs, 'target', 2 * more, scores)}."
    )


def _scores_of_a_seed(content: ReportContent, arms: Set[str]) -> float:
    """FLOPs of the scores that another seed of these arms needs, made once for both."""
    return max(
        (
            charge.scoring_flops
            for charge in content.charges
            if charge.curriculum in arms and not charge.serves_all_seeds
        ),
        default=0.0,
    )


def _priced(costs: Costs | None, stage: str, runs: int, scores: float = 0.0) -> str:
    """`: 12 runs, 3.4 TFLOP` at the mean price of the stage's runs so far, with FLOPs of scores."""
    beside = " and their scores" if scores else ""
    for cost in costs.stages if costs else ():
        if cost.stage == stage and cost.runs:
            price = cost.flops / cost.runs * runs + scores
            return f": {counted(runs, 'run')}{beside}, {flops(price)}"
    return ""
