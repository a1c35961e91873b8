"""The headline in plain words: which recipe, which curriculum, how sure, at what cost, what next.

Terminal summary and report show the same findings. Nothing is claimed that an interval doesn't
back; what can't be told is said to be so, with what it would take.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from curricle.analysis.agreement import Agreement, agreement_of
from curricle.analysis.agreement_text import support_of
from curricle.analysis.content import ReportContent
from curricle.analysis.curricula_text import curricula_effects, curricula_headlines
from curricle.analysis.formatting import (
    counted,
    flops,
    listed,
    percent,
    rate,
    shift,
)
from curricle.analysis.multiple_choice import LetterReport
from curricle.analysis.next_steps import next_steps
from curricle.analysis.ranked import Ranking
from curricle.analysis.verdicts import Verdict


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One statement of one to three sentences; `verdict` colours it, None if it judges nothing."""

    topic: str
    text: str
    verdict: Verdict | None = None


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The headline, and what backs it, by topic."""

    headline: str
    items: tuple[Finding, ...]


def findings_of(content: ReportContent) -> Findings:
    """What a study has found so far. Never raises for missing parts: they are left out."""
    items = (
        *_recipe(content),
        *_support(content),
        *_standard_rate(content),
        *_confirmation(content),
        *_curricula(content),
        *_multiple_choice(content.letters),
        *_cost(content),
        *(Finding(topic="next", text=text) for text in next_steps(content)),
    )
    return Findings(headline=_headline(content), items=items)


def _headline(content: ReportContent) -> str:
    parts = [_recipe_headline(content.tiny)] if content.tiny else []
    support = support_of(content)
    warnings = (support.headline if support else "", _contradiction(content))
    parts.extend(filter(None, warnings))
    parts.extend(curricula_headlines(content))
    return " ".join(parts) or "No results yet."


def _contradiction(content: ReportContent) -> str:
    """A warning if the target's size surely ranks another recipe above the proxies' best."""
    if not (content.tiny and content.confirmation):
        return ""
    best = content.tiny.best.recipe
    agreement = _agreement(content.tiny, content.confirmation)
    for flip in agreement.sure_flips if agreement else ():
        if best in (flip.first, flip.second):
            other = flip.second if flip.first == best else flip.first
            return f"But at the target's size {other} surely beats {best}: trust the target's size."
    return ""


def _recipe_headline(ranking: Ranking) -> str:
    best, rivals = ranking.best, [item.recipe for item in ranking.leaders[1:]]
    if any(caution.name == "bad-control-not-worst" for caution in ranking.cautions):
        return "Don't trust this ranking: the bad control does not lose."
    if len(ranking.candidates) == 1:
        return f"{best.recipe} is the only candidate: there is nothing to choose."
    if ranking.standard_deviation is None:
        return f"{best.recipe} is lowest, but without repeated runs nothing can be told."
    if best.recipe == ranking.baseline:
        if rivals:
            return f"Keep {best.recipe}: no recipe is better."
        return f"Keep {best.recipe}: it is surely better than every other recipe."
    if best.verdict != "better":
        return f"Keep {ranking.baseline}: no recipe is surely better than it."
    if rivals:
        return f"Use {best.recipe}, or {listed(rivals)}, which can't be told from it."
    return f"Use {best.recipe}: it is surely better than every other recipe."


def _recipe(content: ReportContent) -> Iterator[Finding]:
    ranking = content.tiny
    if not ranking:
        return
    best, base = ranking.best, ranking.baseline
    candidates = counted(len(ranking.candidates), "candidate")
    runs = f"{candidates}, {counted(len(ranking.seeds), 'seed')}"
    text = f"{best.recipe} has the lowest loss at the tiny rate ({runs})"
    if best.recipe != base:
        text += ": " + shift(
            best.difference, best.difference_low, best.difference_high, ranking.confidence
        )
        text += f" than {base}" if best.verdict != "cannot tell" else f" than {base}, cannot tell"
    text += "."
    rivals = [item.recipe for item in ranking.leaders if item is not best]
    if best.probability_best is not None:
        text += f" Its chance of being the best candidate is {percent(best.probability_best)}"
        text += ", less if the recipes are nearly equal." if rivals else "."
    if rivals:
        text += f" Not told from it: {listed(rivals, 6)}."
    verdict = "better" if best.verdict == "baseline" and not rivals else best.verdict
    yield Finding(topic="recipe", text=text, verdict=None if verdict == "baseline" else verdict)


def _support(content: ReportContent) -> Iterator[Finding]:
    """Whether the tuned target bears the tiny rate's ranking out."""
    support = support_of(content)
    if support:
        yield Finding(topic="agreement", text=support.text, verdict=support.verdict)


def _standard_rate(content: ReportContent) -> Iterator[Finding]:
    tiny, standard = content.tiny, content.standard
    if not (tiny and standard):
        return
    agreement = _agreement(tiny, standard)
    name = f"the standard rate {rate(content.standard_rate)}".strip()
    if agreement:
        text = f"At {name}, {_agreed(agreement)}"
        if standard.best.recipe != tiny.best.recipe:
            text += f" Best there is {standard.best.recipe}."
        verdict: Verdict = "worse" if agreement.sure_flips else "cannot tell"
        yield Finding(
            topic="learning rate", text=text, verdict=verdict if agreement.flips else None
        )
    for recipe in tiny.order_only:
        if recipe in standard:
            item = standard[recipe]
            found = shift(
                item.difference, item.difference_low, item.difference_high, standard.confidence
            )
            text = (
                f"{recipe} differs in order alone, which a tiny rate cannot see. At {name} it is "
                f"{found} than {standard.baseline}: {item.verdict}."
            )
            yield Finding(topic="order", text=text, verdict=item.verdict)


def _agreed(agreement: Agreement) -> str:
    pairs = len(agreement.recipes) * (len(agreement.recipes) - 1) // 2
    if not agreement.flips:
        return f"all {pairs} pairs of candidates come out in the same order."
    sure = len(agreement.sure_flips)
    text = f"{len(agreement.flips)} of {pairs} pairs of candidates change places"
    text += f", {sure} of them surely" if sure else ", none of them surely"
    if agreement.spearman is not None:
        text += f" (Spearman {agreement.spearman:.2f})"
    return text + "."


def _confirmation(content: ReportContent) -> Iterator[Finding]:
    confirmed, tiny = content.confirmation, content.tiny
    if not confirmed:
        return
    trained = [item.recipe for item in confirmed.recipes]
    text = f"At the target's size {listed(trained, 6)} were trained"
    text += f" ({counted(len(confirmed.seeds), 'seed')}), named from best to worst."
    agreement = _agreement(tiny, confirmed, controls=True) if tiny else None
    verdict: Verdict | None = None
    if agreement:
        pairs = len(agreement.recipes) * (len(agreement.recipes) - 1) // 2
        right = pairs - len(agreement.flips)
        text += f" The proxies had ordered {right} of these {counted(pairs, 'pair')} alike"
        text += f"; {agreement.note}." if agreement.note else "."
        verdict = "worse" if agreement.sure_flips else None
    yield Finding(topic="confirmation", text=text, verdict=verdict)


def _curricula(content: ReportContent) -> Iterator[Finding]:
    for item in curricula_effects(content):
        yield Finding(topic="curriculum", text=item.text, verdict=item.verdict)


def _multiple_choice(letters: tuple[LetterReport, ...]) -> Iterator[Finding]:
    """Bonferroni over the models, since the best of many is looked at."""
    if not letters:
        return
    first = letters[0]
    level_each = (1 - first.confidence) / len(letters)
    above = [item for item in letters if item.p_value <= level_each]
    best = f"always answering {first.best_letter} ({first.best_rate:.1%} right)".replace("%", " %")
    models = counted(len(letters), "model")
    if above:
        names = listed(dict.fromkeys(item.arm for item in above), 6)
        text = f"{len(above)} of {models} answer surely better than {best}: {names}."
        yield Finding(topic="multiple choice", text=text, verdict="better")
        return
    text = (
        f"None of {models} is surely better than {best} on {first.questions} questions, "
        "so accuracies say nothing about the arms."
    )
    yield Finding(topic="multiple choice", text=text, verdict="cannot tell")


_STAGES = {
    "band": "search for the rate",
    "sweep": "variants",
    "tuning": "tuning of targets",
    "confirm": "confirmation",
    "scoring": "scoring",
    "target": "targets",
}


def _cost(content: ReportContent) -> Iterator[Finding]:
    costs = content.costs
    if not costs or not costs.flops:
        return
    proxies = percent(costs.share("proxy"))
    text = f"{counted(costs.runs, 'run')} took {flops(costs.flops)} of training: proxies {proxies}"
    for stage, name in _STAGES.items():
        if share := costs.share(stage):
            text += f", {name} {percent(share)}"
    yield Finding(topic="cost", text=text + ".")


def _agreement(first: Ranking, second: Ranking, *, controls: bool = False) -> Agreement | None:
    kept = [item for item in first.recipes if controls or item.is_candidate]
    common = [item for item in kept if item.recipe in second]
    return agreement_of(first, second, controls=controls) if len(common) >= 2 else None
