"""How many documents of each domain make the largest dataset with the shares of a mix."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from curricle.core.errors import InputError

Counts = npt.NDArray[np.int64]


def leading_documents(tokens: Mapping[str, Counts], mix: Mapping[str, float]) -> dict[str, int]:
    """For each domain in `mix`, how many of its leading documents to take.

    `tokens[domain]` holds the tokens of its documents in the order in which they may be taken,
    shape (documents,). No document is repeated, so the scarcest domain (the one with the fewest
    tokens for its share) is taken whole, and of each other one the beginning whose tokens come
    nearest to its share, at least one document. Raises InputError if a domain has no documents.
    """
    for domain in mix:
        if not len(tokens.get(domain, ())):
            raise _missing_domain(domain, tokens)
    total = min(tokens[domain].sum() / share for domain, share in mix.items())
    return {domain: _nearest(tokens[domain], share * total) for domain, share in mix.items()}


def shares(tokens: Mapping[str, int]) -> dict[str, float]:
    """Each domain's share of all tokens."""
    total = sum(tokens.values())
    return {domain: count / total for domain, count in tokens.items()}


def _nearest(counts: Counts, target: float) -> int:
    """Length of the beginning of `counts` whose sum comes nearest to `target`, at least 1."""
    return int(np.argmin(np.abs(np.cumsum(counts) - target))) + 1


def _missing_domain(domain: str, tokens: Mapping[str, Counts]) -> InputError:
    present = sorted(name for name, counts in tokens.items() if len(counts))
    return InputError(
        f"mix names domain {domain!r}, which has no documents",
        expected=f"domains among {', '.join(present)}",
        fix=f"leave {domain!r} out of the mix, or add documents to it",
    )
