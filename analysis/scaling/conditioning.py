"""What a table of runs can't tell apart, said before anybody reads the estimates."""

from collections.abc import Mapping

import numpy as np

from curricle.analysis.scaling.laws import Floats

_SAME_RATIO = 0.05
"""Spread of log(D / N), as a share of log N's, below which the ratio counts as constant."""

_NO_FLOOR = 0.01
_FEW_VALUES = 3


def design_warnings(inputs: Mapping[str, Floats]) -> tuple[str, ...]:
    """Warnings that follow from where the points lie, before any fit."""
    if "tokens" not in inputs:
        return ()
    size, tokens = (np.log(inputs[name]) for name in ("parameters", "tokens"))
    found = []
    if np.ptp(tokens) == 0:
        found.append("one number of tokens only: B, beta and E can't be told apart")
    elif np.std(tokens - size) < _SAME_RATIO * np.std(size):
        ratio = float(np.exp(np.median(tokens - size)))
        found.append(
            f"ill-conditioned: all runs have about {ratio:.3g} tokens per parameter, so A can't "
            "be told apart from B nor alpha from beta; vary the ratio"
        )
    for name, values, meant in (("sizes", size, "A, alpha"), ("token counts", tokens, "B, beta")):
        distinct = len(np.unique(np.round(values, 9)))
        if 1 < distinct < _FEW_VALUES:
            found.append(f"{distinct} {name} only: {meant} and E can't be told apart")
    return tuple(found)


def estimate_warnings(
    parameters: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    smallest_loss: float,
) -> tuple[str, ...]:
    """Warnings that follow from estimates and intervals."""
    found = []
    for name, value in parameters.items():
        low, high = intervals.get(name, (value, value))
        if name.startswith(("alpha", "beta", "change")) and low <= 0 <= high:
            found.append(f"{name}'s interval holds 0: its sign isn't certain")
        if name[0] == "E" and low < _NO_FLOOR * smallest_loss:
            found.append(f"{name} may be 0: the points show no certain floor of the loss")
        if name[0] in ("A", "B") and high > 1e3 * max(low, 1e-300):
            found.append(
                f"{name} is known to within a factor of {high / max(low, 1e-300):.0e} only"
            )
    return tuple(found)
