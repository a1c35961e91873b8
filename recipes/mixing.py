"""How many documents of each domain make a dataset with the shares and the size of a mix."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curricle.core.errors import InputError
from curricle.recipes.specs.mix import Mix

Counts = npt.NDArray[np.int64]


class Portion(NamedTuple):
    """What is taken of a domain: its first `documents`, again from the first after the last.

    `cut` is how many tokens are left of the last one taken; None if it stays whole.
    """

    documents: int
    cut: int | None = None


def portions(tokens: Mapping[str, Counts], mix: Mix) -> dict[str, Portion]:
    """What `mix` takes of each domain that it names.

    `tokens[domain]` holds the tokens of its documents in the order in which they may be taken,
    shape (documents,). With a budget each domain has its share of it to the token, which may cut
    its last document short. Without one the scarcest domain (the one with the fewest tokens, all
    repeats counted, for its share) is taken whole, and each other one up to the document whose end
    comes nearest to its share, at least one document. Raises InputError if a domain has no
    documents, or too few for the budget.
    """
    shares = mixed_shares({name: int(counts.sum()) for name, counts in tokens.items()}, mix)
    taken = {name: np.tile(tokens[name], mix.repeats_of(name)) for name in shares}
    reach = {name: taken[name].sum() / share for name, share in shares.items()}
    if mix.tokens is None:
        total = min(reach.values())
        return {name: _nearest(taken[name], share * total) for name, share in shares.items()}
    scarcest = min(reach, key=lambda name: reach[name])
    if mix.tokens > reach[scarcest]:
        raise _out_of_reach(mix, scarcest, math.floor(reach[scarcest]))
    wanted = apportioned(shares, mix.tokens)
    return {name: _exactly(taken[name], wanted[name]) for name in shares if wanted[name]}


def mixed_shares(tokens: Mapping[str, int], mix: Mix) -> dict[str, float]:
    """Each domain's share of the mix; `tokens` are those there are. Raises as `portions` does."""
    present = {name: count for name, count in tokens.items() if count}
    for name in (*(mix.weights if isinstance(mix.weights, Mapping) else ()), *mix.without):
        if name not in present:
            raise _missing_domain(name, sorted(present))
    match mix.weights:
        case "natural":
            largest = max(present.values())
            weights = {
                name: (count / largest) ** (1 / mix.temperature) for name, count in present.items()
            }
        case "uniform":
            weights = dict.fromkeys(present, 1.0)
        case given:
            weights = dict(given)
    weights = {name: weight for name, weight in weights.items() if name not in mix.without}
    if not weights:
        raise InputError(
            "mix: every domain is left out",
            expected="at least one domain",
            fix="name fewer domains in without",
        )
    total = math.fsum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def shares(tokens: Mapping[str, int]) -> dict[str, float]:
    """Each domain's share of all tokens."""
    total = sum(tokens.values())
    return {domain: count / total for domain, count in tokens.items()}


def _nearest(counts: Counts, target: float) -> Portion:
    """The beginning of `counts` whose sum comes nearest to `target`, at least one document."""
    return Portion(int(np.argmin(np.abs(np.cumsum(counts) - target))) + 1)


def _exactly(counts: Counts, target: int) -> Portion:
    """The beginning of `counts` that sums to `target`, its last document cut if need be."""
    ends = np.cumsum(counts)
    last = int(np.searchsorted(ends, target))
    surplus = int(ends[last]) - target
    return Portion(last + 1, int(counts[last]) - surplus if surplus else None)


def apportioned(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole numbers that sum to `total`, each within 1 of its share (largest remainders)."""
    whole = {name: math.floor(share * total) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: (whole[name] - shares[name] * total, name))
    for name in by_remainder[: total - sum(whole.values())]:
        whole[name] += 1
    return whole


def _missing_domain(domain: str, present: list[str]) -> InputError:
    return InputError(
        f"mix names domain {domain!r}, which has no documents",
        expected=f"domains among {', '.join(present)}",
        fix=f"leave {domain!r} out of the mix, or add documents to it",
    )


def _out_of_reach(mix: Mix, domain: str, largest: int) -> InputError:
    return InputError(
        f"mix: {mix.tokens} tokens, for which domain {domain!r} has too few",
        expected=f"at most {largest} tokens with these shares and repeats",
        fix=f"lower mix.tokens, raise mix.max_repeats, or give {domain!r} a smaller share",
    )
