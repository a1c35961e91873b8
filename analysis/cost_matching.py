"""Curricula against random order at equal cost rather than at equal target tokens.

A curriculum whose scores and choices cost a share s of a target run is compared with a random order
that reads (1 + s) times the tokens. What that one would have lost is read off a line, in the
logarithm of the tokens, through two runs of the same seed: the random order itself and a longer one
of `factor` times the tokens, each under its own full schedule. Outside these two the line is
extrapolated, which is said. Another control than random order has a line of its own, or, without a
longer run, is taken to gain by more tokens what random order does.

What that one would have lost is a weighted mean of two arms: all comparisons, of every curriculum
by every basis with every control, are contrasts of one model of the arms, and hold jointly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import log

import pandas as pd

from curricle.analysis.comparison import Comparison, Contrast, compare_contrasts
from curricle.analysis.observations import value_matrix

Shares = Mapping[str, Mapping[str, float]]
"""What curricula cost, by curriculum and basis, as shares of a target run."""


@dataclass(frozen=True, kw_only=True)
class EqualCost:
    """A curriculum against a control with `share` more tokens, by one `basis` of cost.

    `share` is below zero where the control costs more. `is_extrapolated`: it lies outside the two
    runs of the line.
    """

    curriculum: str
    basis: str
    share: float
    comparison: Comparison
    is_extrapolated: bool


def compare_at_equal_cost(
    table: pd.DataFrame,
    shares: Mapping[str, Shares],
    *,
    longer: str,
    factor: float,
    lines: Mapping[str, str] | None = None,
    confidence: float = 0.95,
) -> tuple[EqualCost, ...]:
    """One comparison for each control, curriculum and basis of `shares`, all of which hold jointly.

    `table` has columns arm, seed, domain, value. `longer` is the pattern of the arm that reads
    `factor` times the tokens of a control, such as `{}-longer`. `lines` names the arm whose line is
    taken for a control that has no longer run. Where one of the arms is missing nothing is said.
    """
    have = set(value_matrix(table, "arm").dropna(how="all").index)
    asked = [
        (basis, share, Contrast(arm=curriculum, control=control, weights=weights))
        for control, mine in shares.items()
        for curriculum, by_basis in mine.items()
        for basis, share in by_basis.items()
        for line in [(lines or {}).get(control, control)]
        for weights in [_weights(control, line, longer.format(line), log(1 + share) / log(factor))]
        if have.issuperset((curriculum, *weights))
    ]
    if not asked:
        return ()
    found = compare_contrasts(table, [item for *_, item in asked], confidence=confidence)
    return tuple(
        EqualCost(
            curriculum=comparison.arm,
            basis=basis,
            share=share,
            comparison=comparison,
            is_extrapolated=not 0 <= share <= factor - 1,
        )
        for (basis, share, _), comparison in zip(asked, found, strict=True)
    )


def _weights(control: str, line: str, longer: str, weight: float) -> dict[str, float]:
    """The control, moved by a part of the way from the line's arm to its longer run."""
    moved = {line: -weight, longer: weight}
    return {**moved, control: 1 + moved.get(control, 0.0)}
