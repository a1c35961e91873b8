"""How far the tuned target bears out the tiny rate's ranking, in words: None without a target."""

from dataclasses import dataclass

from curricle.analysis.cautions import MINIMUM_RHO, noise_may_explain
from curricle.analysis.content import ReportContent
from curricle.analysis.formatting import counted
from curricle.analysis.methods import MethodAgreement, Methods, method_at
from curricle.analysis.methods_text import with_interval
from curricle.analysis.results import AVERAGE
from curricle.analysis.verdicts import Verdict


@dataclass(frozen=True, kw_only=True)
class Support:
    """What a tuned target says of the tiny rate's ranking.

    `verdict` is "worse" where the two disagree, "cannot tell" where the target can't say, None
    where they agree. `headline` is the warning, empty where they agree.
    """

    text: str
    headline: str
    verdict: Verdict | None


def support_of(content: ReportContent) -> Support | None:
    """What the study's tuned target says of its tiny rate; None before they have been compared."""
    methods = content.check.methods if content.check else None
    if content.tiny is None or content.tiny_rate is None or methods is None:
        return None
    name = method_at(content.tiny_rate)
    found = next((item for item in methods.of(AVERAGE) if item.method == name), None)
    if found is None or found.spearman is None:
        return _unknown(found)
    if found.spearman.value >= MINIMUM_RHO:
        verdict: Verdict | None = "cannot tell" if found.spearman.low is None else None
        return Support(text=f"{_agreement(found, methods)}.", headline="", verdict=verdict)
    ceiling = methods.ceiling.spearman if methods.ceiling else None
    noisy = ceiling is not None and noise_may_explain(found.spearman, ceiling)
    return Support(
        text=f"{_agreement(found, methods)}: don't decide by it.",
        headline=(
            "The tiny rate's ranking has a Spearman of only "
            f"{found.spearman.value:.2f} with the tuned target's: don't decide by it."
        ),
        verdict="cannot tell" if noisy else "worse",
    )


def _unknown(found: MethodAgreement | None) -> Support:
    """For rankings between which there is no correlation."""
    why = (
        "fewer than two candidates are in both rankings"
        if found is None
        else "all candidates are equal in one of the rankings"
    )
    return Support(
        text=f"The tuned target can't say whether the tiny rate ranks rightly: {why}.",
        headline="The tuned target can't say whether the tiny rate ranks rightly.",
        verdict="cannot tell",
    )


def _agreement(found: MethodAgreement, methods: Methods) -> str:
    """The correlation, and what its size has to be seen against."""
    text = (
        f"Over {counted(len(found.agreement.recipes), 'candidate')} the tiny rate's ranking has a "
        f"Spearman of {with_interval(found.spearman, 2)} with the tuned target's"
    )
    if methods.ceiling:
        text += f", whose own reliability bounds it by {methods.ceiling.spearman.value:.2f}"
    return text + (f"; {found.agreement.note}" if found.agreement.note else "")
