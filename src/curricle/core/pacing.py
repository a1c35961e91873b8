"""Pacing functions: which share of the ranked samples a curriculum may draw from at each step."""

import numpy as np
import numpy.typing as npt


def linear_pool(
    progress: npt.NDArray[np.float64], start_fraction: float, full_at: float
) -> npt.NDArray[np.float64]:
    """Share of the pool open at `progress` (0 to 1 through the run), growing linearly.

    `start_fraction + (1 - start_fraction) * progress / full_at`, and everything from `full_at` on:
    the pacing of the irreducible curriculum (Fan & Jaggi, arXiv 2310.15389), where the two are
    called lambda_0 and T_c / T.
    """
    return np.minimum(1.0, start_fraction + (1.0 - start_fraction) * progress / full_at)
