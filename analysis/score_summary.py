"""The quality of scores for the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from unicodedata import east_asian_width

from curricle.analysis.content import ScoredText
from curricle.analysis.score_quality import RELIABLE, ScoreQualities, ScoreQuality


def render_scores(found: ScoreQualities) -> str:
    """Reliability, agreement and domains of each score, correlations, and warnings."""
    return "\n".join(
        [*_overview(found), "", *_domains(found), *_correlations(found), *_warnings(found)]
    )


def render_ends(ends: Mapping[str, Sequence[ScoredText]], width: int) -> str:
    """By score its highest and its lowest samples, a line each of at most `width` columns."""
    lines = []
    for score, examples in ends.items():
        lines.append(f"{score}: samples from both ends, the highest first")
        domain_width = max((len(item.domain) for item in examples), default=0)
        lines += [
            f"{item.score:>10.3g}  {item.domain:<{domain_width}}  {' '.join(item.text.split())}"
            for item in examples
        ]
    return "\n".join(_cut(_escaped(line), width) for line in lines)


def _escaped(text: str) -> str:
    """What a terminal would obey or couldn't write, such as a colour code, shown as `\\x1b`."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(shown)


def _cut(text: str, width: int) -> str:
    """As much of it as fits; an ideograph takes two columns."""
    ends = accumulate(2 if east_asian_width(c) in "WF" else 1 for c in text)
    return "".join(c for c, end in zip(text, ends, strict=True) if end <= width)


def _overview(found: ScoreQualities) -> Iterator[str]:
    width = _width(found)
    yield (
        "Is the score worth using? Spearman's correlations; inside domains unless said otherwise "
        f"(below {RELIABLE}: no)"
    )
    yield (
        f"{'score':<{width}}{'split half':>11}{'overall':>9}{'seeds':>7}{'checkpoints':>13}"
        f"{'proxies':>9}{'between domains':>17}"
    )
    for item in found.scores:
        yield (
            f"{item.score:<{width}}{_cell(item.split_half):>11}{_cell(item.split_half_overall):>9}"
            f"{_cell(item.between_seeds):>7}{_cell(item.between_checkpoints):>13}"
            f"{_cell(item.between_proxies):>9}{item.between_domains:>16.0%}".replace("%", " %")
        )


def _domains(found: ScoreQualities) -> Iterator[str]:
    for item in found.scores:
        yield f"{item.score}: 5 %, median, 95 % of each domain; its share of the top quarter"
        yield from _domain_lines(item)
        yield ""


def _domain_lines(item: ScoreQuality) -> Iterator[str]:
    width = max(len(domain.domain) for domain in item.domains) + 2
    for domain in item.domains:
        unreliable = domain.split_half is not None and domain.split_half < RELIABLE
        yield (
            f"  {domain.domain:<{width}}{domain.samples:>8,}{domain.low:>10.3g}"
            f"{domain.median:>10.3g}{domain.high:>10.3g}   x{domain.lift:.2f}"
            + (f"   split half {domain.split_half:.2f}" if unreliable else "")
        )


def _correlations(found: ScoreQualities) -> Iterator[str]:
    names = list(found.correlations)
    if len(names) < 2:
        return
    width = _width(found)
    yield "Correlation between scores (Spearman, mean over domains)"
    yield " " * width + "".join(f"{number:>7}" for number in range(1, len(names) + 1))
    for number, name in enumerate(names):
        cells = (_cell(value) for value in found.correlations.iloc[number])
        yield f"{number + 1:>2} {name:<{width - 3}}" + "".join(f"{cell:>7}" for cell in cells)
    yield ""


def _warnings(found: ScoreQualities) -> Iterator[str]:
    for line in found.warnings:
        yield f"warning: {line}"


def _width(found: ScoreQualities) -> int:
    return max(len(item.score) for item in found.scores) + 5


def _cell(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.2f}"
