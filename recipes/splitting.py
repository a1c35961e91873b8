"""Which documents are held out, decided by hash before anything else happens to them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from curricle.core.errors import InputError
from curricle.core.seeds import uniform_hash

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def place_of(group: str, seed: int) -> float:
    """A group's place in [0, 1); groups below the validation fraction are held out.

    Places stand for their groups: two of ten million share one with a probability of 0.6 %, and
    are then split alike, which does no harm.
    """
    return uniform_hash(group, salt=f"{seed}/validation")


def is_held_out(group: str, validation_fraction: float, seed: int) -> bool:
    """Whether a group's documents never train, wherever they are read and whatever the cap."""
    return place_of(group, seed) < validation_fraction


def held_out_places(
    names: Sequence[str],
    domains: Integers,
    places: Floats,
    sizes: Integers,
    validation_fraction: float,
) -> Floats:
    """The places of the groups that are held out, ascending; all others train.

    Groups whose place is below the fraction are held out. In a domain where these hold too few
    bytes (few, long files), groups follow in the order of their places until `validation_fraction`
    of the bytes is reached, except those that would leave less than half of the bytes to train.
    Arrays have an entry per document: its domain's index in `names`, its group's place, its bytes.
    Raises InputError if a domain can't have both splits.
    """
    by_domain = [np.flatnonzero(domains == index) for index in range(len(names))]
    held_out = np.unique(
        np.concatenate(
            [_held_out(places[rows], sizes[rows], validation_fraction) for rows in by_domain]
        )
    )
    for name, rows in sorted(zip(names, by_domain, strict=True), key=lambda pair: pair[0]):
        groups = np.unique(places[rows])
        if len(set(np.isin(groups, held_out).tolist())) < 2:
            raise _too_small(name, len(rows), len(groups))
    return held_out


def _held_out(places: Floats, sizes: Integers, validation_fraction: float) -> Floats:
    """The places that one domain holds out."""
    groups, member = np.unique(places, return_inverse=True)
    bytes_of = np.bincount(member, weights=sizes, minlength=len(groups))
    total = bytes_of.sum()
    chosen = groups < validation_fraction
    taken = bytes_of[chosen].sum()
    for index in np.flatnonzero(~chosen):
        if taken >= validation_fraction * total:
            break
        if 2 * (taken + bytes_of[index]) <= total:
            chosen[index] = True
            taken += bytes_of[index]
    return groups[chosen]


def _too_small(domain: str, documents: int, groups: int) -> InputError:
    return InputError(
        f"corpus too small: the {documents} document(s) of domain {domain!r} come from "
        f"{groups} distinct file(s) or text(s) and can't be both trained on and held out",
        expected="at least two distinct files (or texts) in every domain",
        fix="add documents to that domain, raise its cap, or leave the domain out",
    )
