"""Which learning rates proxies can be trusted at: the tuned rate, the tiny ones, and their bounds.

A tiny rate lies an order of magnitude or more below the tuned standard rate of that family and size
(arXiv 2512.24503 says one to two; in the short runs of docs/results/tiny-lr.md three orders rank
rightly where one and a half don't, so there is no such lower end here). From above the rate is
bounded by curvature: well below 1 / lambda_max of the validation loss's Hessian the first-order
term decides. That is gradient descent's bound; Adam's is that of the preconditioned Hessian. From
below it is bounded by rounding, which eats updates smaller than half a unit in a weight's last
place, and by noise: where seeds don't agree, the recipes' differences are smaller than what the
seeds change. And where the first-order term decides, the ranking doesn't depend on the rate: a rate
whose neighbours rank otherwise is not one of these, even if its seeds agree.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from curricle.analysis import formatting
from curricle.analysis.cautions import Caution
from curricle.analysis.observations import check_columns, seed_agreement, value_matrix
from curricle.core.errors import InputError

ORDERS_BELOW = 1.0
MOST_STILL = 0.05
"""More than this share of the weights unmoved by an update means that rounding eats the signal.

Not from the literature: a choice, like the next.
"""
MINIMUM_STABILITY = 0.5


@dataclass(frozen=True, kw_only=True)
class Start:
    """What was measured before the first update, see `models/start.py`; shares go with `rates`."""

    rates: tuple[float, ...]
    still_fp32: tuple[float, ...]
    still_bf16: tuple[float, ...]
    largest_eigenvalue: float | None = None
    preconditioned_eigenvalue: float | None = None


@dataclass(frozen=True, kw_only=True)
class RateFacts:
    """One rate: loss over recipes and seeds, how far it fell, and how sure its ranking is.

    `seed_agreement` is the mean Spearman correlation between seeds. `next_agreement` is that of the
    means with those at the next higher rate, `flips` of `pairs` pairs change their order on the way
    there. `still_fp32` and `still_bf16`: share of weights that an update doesn't move. `missing`
    runs have no value. None where the numbers allow no statement.
    """

    rate: float
    loss: float | None
    spread: float | None
    seed_agreement: float | None
    next_agreement: float | None
    flips: int | None
    pairs: int | None
    still_fp32: float
    still_bf16: float
    missing: int


@dataclass(frozen=True, kw_only=True)
class UsableBand:
    """The rates that were tried, the tuned standard one, and the one to take for proxies.

    `low` to `high` is the usable band: above the floor of rounding in fp32, at most a tenth of the
    standard rate. `recommended` is None where no rate that was tried is usable; `reason` says why
    that one, or which rates to try.
    """

    rates: tuple[RateFacts, ...]
    standard_rate: float
    standard_at_edge: bool
    curvature_bound: float | None
    preconditioned_bound: float | None
    low: float
    high: float
    recommended: float | None
    reason: str

    @property
    def text(self) -> str:
        """What was found, in words."""
        edge = ", at the edge of what was tried" if self.standard_at_edge else ""
        best = f"The best rate of these short runs is {formatting.rate(self.standard_rate)}{edge}."
        if self.recommended is None:
            return f"{best} No tiny rate can be recommended: {self.reason}."
        rate = formatting.rate(self.recommended)
        text = f"{best} Recommended for proxies: {rate}; {self.reason}."
        bound = self.preconditioned_bound
        if bound is not None:
            side = "above" if self.recommended > bound else "below"
            text += f" It lies {side} the curvature's bound under Adam, {bound:.1e}."
        return text

    @property
    def caution(self) -> Caution | None:
        """That the best rate is an end of what was tried, and so may not be the tuned one."""
        if not self.standard_at_edge:
            return None
        tried = [item.rate for item in self.rates]
        place = tried.index(self.standard_rate)
        lowest = all(item.loss is None for item in self.rates[:place])
        found = f"The standard rate, {formatting.rate(self.standard_rate)}, is the "
        end, beyond = ("lowest", tried[:place][-1:]) if lowest else ("highest", tried[place + 1 :])
        if beyond:
            found += f"{end} at which all runs finished, so the tuned one may lie beyond it: add a "
            found += f"rate between it and {formatting.rate(beyond[0])} to band.learning_rates."
        else:
            word = "lower" if lowest else "higher"
            found += (
                f"{end} that the band tried, so the tuned one may be {word}: add a {word} rate "
            )
            found += "to band.learning_rates."
        return Caution(name="standard-rate-at-edge", text=found)

    def __getitem__(self, rate: float) -> RateFacts:
        """The facts of a rate that was tried."""
        return next(item for item in self.rates if item.rate == rate)


def usable_band(table: pd.DataFrame, start: Start, recipes: Sequence[str] = ()) -> UsableBand:
    """The band from short runs: columns learning_rate, recipe, seed, value and perhaps domain.

    `recipes` (default: all) are those whose ranking counts. Rates without any value are told as
    missing. Raises InputError for a missing column, or if no run has a value.
    """
    check_columns(table, ("learning_rate", "recipe", "seed", "value"))
    matrices = _matrices(table, recipes, start.rates)
    facts = tuple(_facts(matrices, rate, start) for rate in start.rates)
    trained = [item for item in facts if item.loss is not None]
    if not trained:
        raise InputError(
            "no finished run at any rate", expected="runs at three rates", fix="lower the rates"
        )
    standard = min(trained, key=lambda item: (item.loss, item.rate)).rate
    high = standard * 10**-ORDERS_BELOW
    low = min((item.rate for item in facts if _is_alive(item)), default=math.inf)
    chosen, reason = _choose(facts, low, high)
    return UsableBand(
        rates=facts,
        standard_rate=standard,
        standard_at_edge=standard in (trained[0].rate, trained[-1].rate),
        curvature_bound=_inverse(start.largest_eigenvalue),
        preconditioned_bound=_inverse(start.preconditioned_eigenvalue),
        low=low if math.isfinite(low) else high,
        high=high,
        recommended=chosen,
        reason=reason,
    )


def _matrices(
    table: pd.DataFrame, recipes: Sequence[str], rates: Sequence[float]
) -> dict[float, pd.DataFrame]:
    """Values by rate, recipe x seed; all with the same recipes and seeds."""
    names = list(recipes) or list(dict.fromkeys(table["recipe"]))
    seeds = sorted(set(table["seed"]))
    found = {}
    for rate in rates:
        rows = table[(table["learning_rate"] == rate) & table["recipe"].isin(names)]
        found[rate] = value_matrix(rows, "recipe").reindex(index=names, columns=seeds)
    return found


def _facts(matrices: Mapping[float, pd.DataFrame], rate: float, start: Start) -> RateFacts:
    matrix = matrices[rate]
    rates = list(matrices)
    place = rates.index(rate)
    means = matrix.mean(axis=1)
    agreement, flips, pairs = None, None, None
    if place + 1 < len(rates):
        agreement, flips, pairs = _against(means, matrices[rates[place + 1]].mean(axis=1))
    return RateFacts(
        rate=rate,
        loss=_finite(means.mean(skipna=False)),
        spread=_finite(means.std(ddof=1)),
        seed_agreement=seed_agreement(matrix.dropna(how="all")),
        next_agreement=agreement,
        flips=flips,
        pairs=pairs,
        still_fp32=start.still_fp32[place],
        still_bf16=start.still_bf16[place],
        missing=int(matrix.isna().to_numpy().sum()),
    )


def _against(
    first: "pd.Series[float]", second: "pd.Series[float]"
) -> tuple[float | None, int | None, int | None]:
    """Spearman correlation of two columns of means, the pairs that flip, and all pairs."""
    both = pd.DataFrame({"first": first, "second": second}).dropna()
    if len(both) < 2:
        return None, None, None
    signs = [np.sign(np.subtract.outer(column, column)) for column in both.to_numpy().T]
    upper = np.triu_indices(len(both), 1)
    flips = int((signs[0][upper] * signs[1][upper] < 0).sum())
    agreement = _finite(both["first"].corr(both["second"], method="spearman"))
    return (agreement if len(both) > 2 else None), flips, len(upper[0])


def _is_alive(item: RateFacts) -> bool:
    return item.still_fp32 <= MOST_STILL


def _choose(facts: Sequence[RateFacts], low: float, high: float) -> tuple[float | None, str]:
    """The rate of the band with the most stable ranking; of equally stable ones the smallest."""
    slack = 1 + 1e-9
    stability = {
        item.rate: found
        for place, item in enumerate(facts)
        if low / slack <= item.rate <= high * slack
        and (found := _stability(facts, place)) is not None
    }
    if not stability:
        return None, f"no rate between {low:.1e} and {high:.1e} was tried with success"
    best = max(stability, key=lambda rate: (round(stability[rate], 2), -rate))
    reason = (
        f"of {len(stability)} rates in the band its ranking changes least between seeds and on the "
        f"way to the rates beside it (Spearman {stability[best]:.2f} and more)"
    )
    if stability[best] < MINIMUM_STABILITY:
        reason += "; too little to rank by: give the proxies more tokens or more seeds"
    return best, reason


def _stability(facts: Sequence[RateFacts], place: int) -> float | None:
    """The least of a rate's agreements: between its seeds, and with either rate beside it.

    None without an agreement between seeds. A rate beside it says nothing if rounding has eaten it
    or its own seeds don't agree.
    """
    item = facts[place]
    found = [item.seed_agreement]
    if place and _is_telling(facts[place - 1]):
        found.append(facts[place - 1].next_agreement)
    if place + 1 < len(facts) and _is_telling(facts[place + 1]):
        found.append(item.next_agreement)
    if item.seed_agreement is None:
        return None
    return min(value for value in found if value is not None)


def _is_telling(item: RateFacts) -> bool:
    return _is_alive(item) and (item.seed_agreement or 0.0) >= MINIMUM_STABILITY


def _inverse(eigenvalue: float | None) -> float | None:
    return 1 / eigenvalue if eigenvalue and eigenvalue > 0 else None


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
