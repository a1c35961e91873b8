"""What the noise of runs leaves of a rank correlation: a target's ceiling, a proxy's more seeds.

A mean of reliability r correlates with the truth by sqrt(r), and with anything else in proportion
to that (Spearman-Brown). Normal pairs that correlate by c have a Spearman correlation of
6 / pi arcsin(c / 2).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from curricle.analysis.planning import noise_of, reliability
from curricle.analysis.ranked import RankedRecipe, Ranking
from curricle.analysis.results import AVERAGE, POOLED
from curricle.core.bootstrap import Interval


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """What a perfect proxy could reach against this target, whose own ranking is noisy.

    `reliability` is the share of the target means' variance that is the recipes' own, `spearman`
    the correlation that the true losses themselves would show with the measured ones, over the
    candidates of one `group` in one `domain`. A target that is tuned for each recipe has another
    noise, that of which setting was chosen, which isn't in its seeds and so not in here.
    """

    reliability: Interval
    spearman: Interval
    domain: str = AVERAGE
    group: str = POOLED


def ceiling_of(target: Ranking) -> Ceiling | None:
    """The ceiling of any method's rank correlation with `target`; None for a single seed each."""
    noise = noise_of(target)
    if noise is None:
        return None
    seeds = _seeds(target.candidates)
    shares = [
        reliability(ratio, seeds) for ratio in (noise.ratio, noise.ratio_low, noise.ratio_high)
    ]
    most = [_spearman(math.sqrt(share)) for share in shares]
    return Ceiling(reliability=Interval(*shares), spearman=Interval(*most))


def spearman_with_more_seeds(proxy: Ranking, spearman: float, times: float) -> float | None:
    """What is to be expected of a `proxy` with this correlation if it had `times` the seeds.

    None where its runs show no noise, or no spread of the recipes.
    """
    noise = noise_of(proxy)
    if noise is None or not noise.ratio:
        return None
    seeds = _seeds(proxy.candidates)
    gain = math.sqrt(reliability(noise.ratio, times * seeds) / reliability(noise.ratio, seeds))
    return _spearman(min(max(gain * 2 * math.sin(math.pi * spearman / 6), -1.0), 1.0))


def _spearman(correlation: float) -> float:
    """Spearman's correlation of normal pairs."""
    return 6 / math.pi * math.asin(correlation / 2)


def _seeds(candidates: Sequence[RankedRecipe]) -> float:
    """Harmonic mean of the candidates' numbers of runs."""
    return len(candidates) / sum(1 / item.runs for item in candidates)
