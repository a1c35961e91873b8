"""How much a larger law gains on a smaller one beyond what its freedom alone would."""

import numpy as np
from scipy.stats import f as fisher

CONVINCING = 2.0
"""Evidence from which on the larger law is believed: "positive" on Raftery's scale (1995)."""

_TINY = 1e-30


def evidence(points: int, parameters: int, added: int, fewer: float, more: float) -> float:
    """By how much BIC, corrected for few points, prefers the larger law.

    The larger law has `parameters`, `added` of them beyond the smaller one's; `more` and `fewer`
    are the two sums of squares. The likelihood ratio is scaled by (N - P) / N, as Bartlett's
    correction would: a search for the best break in a straight law gains far more with a dozen
    points than large-sample theory has it, so that plain BIC finds one in every sixth, while
    AICc's penalty (28 there, for one break) hides plain ones. -infinity for no more points than
    parameters.
    """
    if points <= parameters:
        return -np.inf
    gain = (points - parameters) * np.log(max(fewer, _TINY) / max(more, _TINY))
    return float(gain - added * np.log(points))


def extra_squares_p_value(
    points: int, parameters: int, added: int, fewer: float, more: float
) -> float:
    """P-value of the extra-sum-of-squares F test (the likelihood-ratio test under normal errors).

    Arguments as for `evidence`; the smaller law must lie inside the larger one.
    """
    freedom = points - parameters
    ratio = (fewer - more) / added / max(more / freedom, _TINY)
    return float(fisher.sf(ratio, added, freedom))
