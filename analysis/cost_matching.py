"""Curricula against random order at equal cost rather than at equal target tokens.

A curriculum whose scores and choices cost a share s of a target run is compared with a random order
that reads (1 + s) times the tokens. What that one would have lost is read off a line, in the
logarithm of the tokens, through two runs of the same seed: the random order itself and a longer one
of `factor` times the tokens, each under its own full schedule. Beyond the longer run the line is
extrapolated, which is said.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log

import pandas as pd

from curricle.analysis.comparison import Comparison, compare_arms

_KEYS = ["seed", "domain"]


@dataclass(frozen=True, kw_only=True)
class EqualCost:
    """A curriculum against random order with `share` more tokens, by one `basis` of cost.

    `is_extrapolated`: the longer run was too short for this share.
    """

    curriculum: str
    basis: str
    share: float
    comparison: Comparison
    is_extrapolated: bool


def compare_at_equal_cost(
    table: pd.DataFrame,
    shares: Mapping[str, Mapping[str, float]],
    *,
    control: str,
    longer: str,
    factor: float,
) -> tuple[EqualCost, ...]:
    """One comparison for each curriculum and basis of `shares`; without the longer arm none.

    `table` has columns arm, seed, domain, value; `shares` the cost by curriculum and basis, as a
    share of a target run.
    """
    return tuple(_compare(table, shares, control, longer, factor))


def _compare(
    table: pd.DataFrame,
    shares: Mapping[str, Mapping[str, float]],
    control: str,
    longer: str,
    factor: float,
) -> Iterator[EqualCost]:
    losses = {str(arm): rows.set_index(_KEYS)["value"] for arm, rows in table.groupby("arm")}
    if control not in losses or longer not in losses:
        return
    for curriculum, by_basis in shares.items():
        if curriculum not in losses:
            continue
        for basis, share in by_basis.items():
            weight = log(1 + share) / log(factor)
            matched = losses[control] + weight * (losses[longer] - losses[control])
            arms = {curriculum: losses[curriculum], control: matched}
            parts = [values.reset_index().assign(arm=arm) for arm, values in arms.items()]
            long = pd.concat(parts).dropna()
            found = next(item for item in compare_arms(long, control) if item.domain == "average")
            yield EqualCost(
                curriculum=curriculum,
                basis=basis,
                share=share,
                comparison=found,
                is_extrapolated=share > factor - 1,
            )
