"""What curricula are worth, in words: at equal target tokens, and at equal cost if known.

A curriculum that wins at equal target tokens and loses to a random order that may read on for what
its scores and choices cost isn't advised.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from curricle.analysis.comparison import Comparison
from curricle.analysis.content import RESHUFFLED, ReportContent
from curricle.analysis.cost_matching import EqualCost
from curricle.analysis.formatting import flops, listed, percent, quantity, shift
from curricle.analysis.verdicts import Verdict

_MOST_NAMES = 6


@dataclass(frozen=True)
class CurriculumEffect:
    """What a curriculum does, in a few sentences, and the verdict that counts."""

    text: str
    verdict: Verdict


@dataclass(frozen=True)
class _Outcome:
    """What came of a curriculum against a control; the last two are None unless it won.

    `at_cost` is what is left of the win at equal cost, `by_order` compares it with its own samples
    reshuffled; None too where that wasn't compared.
    """

    verdict: Verdict
    control: str
    at_cost: Verdict | None
    by_order: Verdict | None


def curricula_headlines(content: ReportContent) -> Iterator[str]:
    """What to do, one sentence for all curricula of which the same holds: the winners' first."""
    alike: dict[_Outcome, list[str]] = {}
    for item in _against_control(content):
        alike.setdefault(_outcome(content, item), []).append(item.arm)
    order = get_args(Verdict)
    for outcome in sorted(alike, key=lambda outcome: order.index(outcome.verdict)):
        yield _headline(alike[outcome], outcome)


def curricula_effects(content: ReportContent) -> Iterator[CurriculumEffect]:
    """Each curriculum in question against the study's control, its own controls, at equal cost."""
    for item in _against_control(content):
        parts = [_effect(item), *_other_controls(content, item)]
        parts += _charged(content, item)
        parts += [_at_equal(found) for found in _equal_costs(content, item)]
        outcome = _outcome(content, item)
        yield CurriculumEffect(text=" ".join(parts), verdict=outcome.at_cost or item.verdict)


def _against_control(content: ReportContent) -> Iterator[Comparison]:
    """The first comparison of each curriculum: the one against the study's control."""
    for curriculum in content.curricula:
        yield from [item for item in content.averages() if item.arm == curriculum][:1]


def _equal_costs(content: ReportContent, comparison: Comparison) -> list[EqualCost]:
    pair = (comparison.arm, comparison.control)
    return [
        item for item in content.equal_costs if (item.curriculum, item.comparison.control) == pair
    ]


def _outcome(content: ReportContent, comparison: Comparison) -> _Outcome:
    verdict, control = comparison.verdict, comparison.control
    if verdict != "better":
        return _Outcome(verdict, control, None, None)
    reshuffled = content.against(comparison.arm, RESHUFFLED.format(comparison.arm))
    by_order = reshuffled.verdict if reshuffled else None
    return _Outcome(verdict, control, _at_cost(content, comparison), by_order)


def _at_cost(content: ReportContent, comparison: Comparison) -> Verdict | None:
    """Worse if so by any basis of cost, better if by all; None if nothing was compared."""
    verdicts = {item.comparison.verdict for item in _equal_costs(content, comparison)}
    if "worse" in verdicts:
        return "worse"
    return next(iter(verdicts), None) if len(verdicts) < 2 else "cannot tell"


def _headline(arms: Sequence[str], outcome: _Outcome) -> str:
    several, control = len(arms) > 1, outcome.control
    named = f"the curricula {listed(arms, _MOST_NAMES)}" if several else f"the {arms[0]} curriculum"
    if outcome.verdict == "better":
        return _winners(named, several, outcome)
    if outcome.verdict == "worse":
        are = "they are" if several else "it is"
        return f"Don't use {named}: {are} worse than the {control} order."
    return f"Keep the {control} order: no effect of {named} found."


def _winners(named: str, several: bool, outcome: _Outcome) -> str:
    """What to do with curricula that win at equal target tokens."""
    beat, control = "beat" if several else "beats", outcome.control
    if outcome.at_cost == "worse":
        return (
            f"Keep the {control} order: {named} {beat} it at equal target tokens, but not at equal "
            "cost, where more tokens are worth more."
        )
    if outcome.by_order == "worse":
        return (
            f"Use the samples of {named}, but in {control} order: reshuffled they are better still."
        )
    if outcome.at_cost == "cannot tell":
        text = (
            f"{named[0].upper()}{named[1:]} {beat} the {control} order at equal target tokens; at "
            "equal cost that can't be told."
        )
    else:
        use = f"one of {named}: they" if several else f"{named}: it"
        end = "at equal target tokens and at equal cost" if outcome.at_cost else ""
        text = f"Use {use} {beat} the {control} order {end or 'at equal target tokens'}."
    if outcome.by_order == "cannot tell":
        text += " Whether by the order or by which samples are read can't be told."
    return text


def _effect(comparison: Comparison) -> str:
    text = f"{comparison.arm} ends {_shift(comparison)} than {comparison.control}"
    text += " at equal target tokens"
    if comparison.verdict != "cannot tell":
        return f"{text}: {comparison.verdict}."
    return f"No effect found: {text}. {_settling(comparison)}"


def _settling(comparison: Comparison) -> str:
    if comparison.low is None:
        return "One seed gives no interval."
    if comparison.seeds_to_settle is None:
        return "Not even 100 seeds would settle a difference of this size."
    return f"{comparison.seeds_to_settle} seeds would settle a difference of this size."


def _other_controls(content: ReportContent, comparison: Comparison) -> Iterator[str]:
    for other in content.averages():
        if other.arm == comparison.arm and other.control != comparison.control:
            own = content.is_transfer(other)
            lead = "With given scores against its own, " if own else "Against "
            yield f"{lead}{other.control}: {_shift(other)}, {other.verdict}."


def _charged(content: ReportContent, comparison: Comparison) -> Iterator[str]:
    """What the scores cost and, where samples are chosen while training, the choices as well."""
    arm, control = comparison.arm, comparison.control
    choices = {choice.curriculum: choice.flops_share for choice in content.selections}
    charges = {charge.curriculum: charge for charge in content.charges}
    chosen = choices.get(arm, 0.0)
    if charge := charges.get(arm):
        also = f", its choices {percent(chosen)} more" if chosen else ""
        tokens = charge.extra_tokens + round(chosen * charge.target_tokens)
        yield (
            f"Its scores cost {flops(charge.scoring_flops)}, {percent(charge.share)} of a target "
            f"run{also}: that buys {quantity(tokens)} more {control}-order tokens, which this "
            "comparison does not grant."
        )
    elif chosen:
        yield (
            f"Its choices cost {percent(chosen)} of a target run, which this comparison does not "
            "grant."
        )


def _at_equal(item: EqualCost) -> str:
    extrapolated = " (extrapolated)" if item.is_extrapolated else ""
    found = item.comparison
    return f"At equal {item.basis}{extrapolated}: {_shift(found)}, {found.verdict}."


def _shift(comparison: Comparison) -> str:
    return shift(comparison.difference, comparison.low, comparison.high, comparison.confidence)
