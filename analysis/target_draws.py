"""Draws of the targets' true losses, to say what a proxy's choice is worth in truth.

The target ranking is noisy too, and the lowest of many noisy losses flatters. Hierarchical model
(Fay & Herriot 1979): a recipe's true loss scatters around a line in the normal scores of the
proxy's ranks, its measured mean around the true loss, with a variance pooled over all recipes:

    true_i = a + b * score_i + spread_i,   measured_i = true_i + noise_i

Line, spread and noise are drawn from their posteriors (flat priors on a, b and the logarithms of
the variances), then the true losses given them. The proxy's scores belong in the model: without
them the draws would be less like the proxy than the truth is, and every agreement biased downwards.
Below five recipes there is no line to fit, and the draws scatter around the measured means.

Shape suffixes: B draws, R recipes.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from curricle.core.seeds import generator

Floats = npt.NDArray[np.float64]

DRAWS = 4_000
_FEWEST = 5


def draw_targets(
    measured_R: Floats,
    variance_R: Floats,
    degrees_of_freedom: float,
    proxy_R: Floats,
    draws: int = DRAWS,
) -> Floats:
    """True losses (B, R) given the measured means, their variances and the proxy's values.

    `variance_R` is that of the means, estimated on `degrees_of_freedom`.
    """
    random = generator(0, "target-draws")
    count = len(measured_R)
    noise_B = degrees_of_freedom / random.chisquare(degrees_of_freedom, draws)
    noise_BR = noise_B[:, None] * variance_R
    normal_BR = random.standard_normal((draws, count))
    if count < _FEWEST or not variance_R.any():
        return measured_R + np.sqrt(noise_BR) * normal_BR
    line_BR, spread_B = _lines(measured_R, noise_BR, proxy_R, random)
    weight_BR = spread_B[:, None] / (spread_B[:, None] + noise_BR)
    centre_BR = weight_BR * measured_R + (1 - weight_BR) * line_BR
    return np.asarray(centre_BR + np.sqrt(weight_BR * noise_BR) * normal_BR)


def _lines(
    measured_R: Floats,
    noise_BR: Floats,
    proxy_R: Floats,
    random: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Draws of the line at each recipe (B, R) and of the spread's variance around it (B,)."""
    count, draws = len(measured_R), len(noise_BR)
    scores_R = norm.ppf((rankdata(proxy_R) - 0.5) / count)
    design = np.column_stack([np.ones(count), scores_R])
    inverse = np.linalg.inv(design.T @ design)
    fitted = inverse @ design.T @ measured_R
    residual = measured_R - design @ fitted
    total_B = (residual @ residual) / random.chisquare(count - 2, draws)
    spread_B = np.maximum(total_B - noise_BR.mean(axis=1), 1e-3 * total_B)
    shifts_B2 = random.standard_normal((draws, 2)) @ np.linalg.cholesky(inverse).T
    line_BR = (fitted + np.sqrt(total_B)[:, None] * shifts_B2) @ design.T
    return line_BR, spread_B
