"""Pacing functions: which of the ranked samples a curriculum reads at each point of the run."""

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


def rising_and_falling(progress: npt.NDArray[np.float64], turn: float) -> npt.NDArray[np.float64]:
    """Percentile of the ranked samples in question at `progress`: 0 to 1 at `turn`, back to 0.

    `p / turn` up to `turn`, then `1 - (p - turn) / (1 - turn)`: the V-curriculum of parameter-golf
    #737, with turn 0.45, where percentiles are those of difficulty: hardest at the turn, easy again
    while the learning rate falls.
    """
    return np.where(progress <= turn, progress / turn, 1.0 - (progress - turn) / (1.0 - turn))
