"""Which documents are held out, decided by hash before anything else happens to them."""

from collections.abc import Callable, Iterable, Sequence

from curricle.core.errors import InputError
from curricle.core.seeds import uniform_hash
from curricle.recipes.documents import Document

Place = Callable[[str], float]


def place_of(seed: int) -> Place:
    """The function from a group to its place in [0, 1); those below the fraction are held out."""
    return lambda group: uniform_hash(group, salt=f"{seed}/validation")


def is_held_out(group: str, validation_fraction: float, seed: int) -> bool:
    """Whether a group's documents never train, wherever they are read and whatever the cap."""
    return place_of(seed)(group) < validation_fraction


def split(
    documents: Iterable[Document], validation_fraction: float, seed: int
) -> tuple[list[Document], list[Document]]:
    """Documents for training and for validation.

    Groups whose place is below the fraction are held out. In a domain where these hold too few
    bytes (few, long files), groups follow in the order of their places until `validation_fraction`
    of the bytes is reached, except those that would leave less than half of the bytes to train.
    Raises InputError if a domain can't have both splits.
    """
    by_domain: dict[str, list[Document]] = {}
    for document in documents:
        by_domain.setdefault(document.domain, []).append(document)
    place = place_of(seed)
    held_out: set[str] = set()
    for _, members in sorted(by_domain.items()):
        held_out |= _held_out_groups(members, validation_fraction, place)
    for domain, members in sorted(by_domain.items()):
        _check_both(domain, members, held_out)
    every = [document for members in by_domain.values() for document in members]
    return (
        [document for document in every if document.group not in held_out],
        [document for document in every if document.group in held_out],
    )


def _held_out_groups(
    members: Sequence[Document], validation_fraction: float, place: Place
) -> set[str]:
    sizes: dict[str, int] = {}
    for document in members:
        sizes[document.group] = sizes.get(document.group, 0) + len(document.text.encode())
    total = sum(sizes.values())
    held_out = {group for group in sizes if place(group) < validation_fraction}
    taken = sum(sizes[group] for group in held_out)
    for group in sorted(set(sizes) - held_out, key=lambda group: (place(group), group)):
        if taken < validation_fraction * total and 2 * (taken + sizes[group]) <= total:
            held_out.add(group)
            taken += sizes[group]
    return held_out


def _check_both(domain: str, members: Sequence[Document], held_out: set[str]) -> None:
    groups = {document.group for document in members}
    if groups - held_out and groups & held_out:
        return
    raise InputError(
        f"corpus too small: the {len(members)} document(s) of domain {domain!r} come from "
        f"{len(groups)} distinct file(s) or text(s) and can't be both trained on and held out",
        expected="at least two distinct files (or texts) in every domain",
        fix="add documents to that domain, raise its cap, or leave the domain out",
    )
