"""Is a score worth using? How far it agrees with itself, with a second proxy, with other scores.

Reliability is Spearman's correlation between the score of a sample's first half and of its second
(contiguous halves: shuffling tokens first makes any score look reliable). A score that ranks inside
domains must be reliable there, so the mean over domains counts; over all samples together it is
helped by whatever tells domains apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

RELIABLE = 0.7
FEWEST_SAMPLES = 10
TOP_SHARE = 0.25

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.str_]


@dataclass(frozen=True, kw_only=True)
class MeasuredScore:
    """A score as it was measured on the same samples: (samples,) by seed, one entry if seeds agree.

    `halves` has shape (2, samples), None where the score isn't defined on parts of a sample.
    `variants` are the same score by single late checkpoints of the first seed's proxy.
    `by_own_proxy` are for each seed the score by this further proxy and by the study's own.
    """

    name: str
    by_seed: Sequence[Floats]
    halves: Floats | None = None
    variants: Sequence[Floats] = ()
    by_own_proxy: Sequence[tuple[Floats, Floats]] = ()


@dataclass(frozen=True, kw_only=True)
class DomainScores:
    """A score inside one domain, and how the domain fares if all samples were ranked together.

    `lift` is the domain's share of the top quarter over its share of all samples: 1 if the score
    favours no domain.
    """

    domain: str
    samples: int
    low: float
    median: float
    high: float
    lift: float
    split_half: float | None


@dataclass(frozen=True, kw_only=True)
class ScoreQuality:
    """What is known about a score; None where it can't be measured.

    `split_half` and `between_seeds` are means over domains, `split_half_overall` is over all
    samples. `between_checkpoints` compares learnabilities by single late checkpoints,
    `between_proxies` a further proxy with the study's own of the same seed. `between_domains` is
    the share of the variance that lies between domains.
    """

    score: str
    split_half: float | None
    split_half_overall: float | None
    between_seeds: float | None
    between_checkpoints: float | None
    between_proxies: float | None
    between_domains: float
    domains: tuple[DomainScores, ...]

    @property
    def is_reliable(self) -> bool | None:
        """Whether the halves agree well enough; None if that isn't known."""
        return None if self.split_half is None else self.split_half >= RELIABLE


@dataclass(frozen=True, kw_only=True)
class ScoreQualities:
    """All scores of a study, and Spearman's correlation between them, mean over domains."""

    scores: tuple[ScoreQuality, ...]
    correlations: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def warnings(self) -> list[str]:
        """A line for each score whose halves disagree."""
        return [
            f"{item.score} is not worth ranking by: the halves of a sample agree to "
            f"{item.split_half:.2f} inside domains, less than {RELIABLE}"
            for item in self.scores
            if item.is_reliable is False
        ]


def judge_scores(scores: Sequence[MeasuredScore], domains: Sequence[str]) -> ScoreQualities:
    """Judge scores of the same samples; `domains` has each sample's domain."""
    names = np.asarray(domains, dtype=str)
    first = {score.name: score.by_seed[0] for score in scores}
    return ScoreQualities(
        scores=tuple(_judge(score, names) for score in scores),
        correlations=_correlations(first, names),
    )


def within_domains(first: Floats, second: Floats, domains: Names) -> float | None:
    """Spearman's correlation, mean over the domains with enough samples to have one."""
    found = [
        value
        for domain in np.unique(domains)
        if (value := spearman(first[domains == domain], second[domains == domain])) is not None
    ]
    return float(np.mean(found)) if found else None


def spearman(first: Floats, second: Floats) -> float | None:
    """Spearman's correlation; None for fewer than ten samples, or where one side is constant."""
    if len(first) < FEWEST_SAMPLES:
        return None
    one, other = rankdata(first), rankdata(second)
    if one.std() == 0 or other.std() == 0:
        return None
    return float(np.corrcoef(one, other)[0, 1])


def _judge(score: MeasuredScore, domains: Names) -> ScoreQuality:
    values, halves = score.by_seed[0], score.halves
    return ScoreQuality(
        score=score.name,
        split_half=None if halves is None else within_domains(halves[0], halves[1], domains),
        split_half_overall=None if halves is None else spearman(halves[0], halves[1]),
        between_seeds=_mean_agreement(combinations(score.by_seed, 2), domains),
        between_checkpoints=_mean_agreement(combinations(score.variants, 2), domains),
        between_proxies=_mean_agreement(score.by_own_proxy, domains),
        between_domains=_between_domains(values, domains),
        domains=tuple(_domains(values, halves, domains)),
    )


def _mean_agreement(pairs: Iterable[tuple[Floats, Floats]], domains: Names) -> float | None:
    found = [within_domains(one, other, domains) for one, other in pairs]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def _between_domains(values: Floats, domains: Names) -> float:
    """Sum of squares between domains over the total (eta squared)."""
    total = float(((values - values.mean()) ** 2).sum())
    between = sum(
        (domains == domain).sum() * (values[domains == domain].mean() - values.mean()) ** 2
        for domain in np.unique(domains)
    )
    return float(between / total) if total else 0.0


def _domains(values: Floats, halves: Floats | None, domains: Names) -> list[DomainScores]:
    top = values >= np.quantile(values, 1 - TOP_SHARE)
    found = []
    for domain in np.unique(domains):
        mine = domains == domain
        low, median, high = np.quantile(values[mine], [0.05, 0.5, 0.95])
        found.append(
            DomainScores(
                domain=str(domain),
                samples=int(mine.sum()),
                low=float(low),
                median=float(median),
                high=float(high),
                lift=float(top[mine].mean() / top.mean()),
                split_half=None if halves is None else spearman(halves[0, mine], halves[1, mine]),
            )
        )
    return found


def _correlations(scores: Mapping[str, Floats], domains: Names) -> pd.DataFrame:
    names = list(scores)
    table = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for one, other in combinations(names, 2):
        value = within_domains(scores[one], scores[other], domains)
        table.loc[one, other] = table.loc[other, one] = np.nan if value is None else value
    return table
