"""Ranks recipes from a few seeds each, and says how far to trust the ranking.

Model: value = recipe + seed + error, by least squares. Lower values are better. There are three
families of comparisons: all pairs of candidates (Tukey-Kramer), all pairs with a control
(Games-Howell), and the planned test of each control against the baseline (Bonferroni); see
`pairwise`. Each holds jointly at the ranking's confidence, but not together with the others: so
does what is said of candidates' differences and of their ranks among one another.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from curricle.analysis import cautions
from curricle.analysis.additive_model import AdditiveFit
from curricle.analysis.cautions import Caution
from curricle.analysis.document_noise import document_noise, without_documents
from curricle.analysis.observations import (
    check_columns,
    check_confidence,
    seed_agreement,
    value_matrix,
)
from curricle.analysis.pairwise import Pairwise, compare_all
from curricle.analysis.rank_draws import draw_ranks
from curricle.analysis.ranked import (
    BAD_CONTROL,
    CANDIDATE,
    PairComparison,
    RankedRecipe,
    Ranking,
    representatives,
)
from curricle.analysis.results import AVERAGE
from curricle.analysis.verdicts import optional, optional_int, optionals, verdict_of, verdicts_of
from curricle.core.errors import InputError

__all__ = [
    "BAD_CONTROL",
    "CANDIDATE",
    "PairComparison",
    "RankedRecipe",
    "Ranking",
    "rank",
    "rank_domains",
    "representatives",
]

Floats = npt.NDArray[np.float64]


def rank(
    table: pd.DataFrame,
    baseline: str,
    roles: Mapping[str, str] | None = None,
    *,
    confidence: float = 0.95,
    order_only: Collection[str] = (),
) -> Ranking:
    """Rank the recipes of `table`: columns recipe, seed, value and perhaps domain; lower is better.

    With domains a run counts with its unweighted mean over them, and has no value where a domain
    has none. With a column `document` a domain counts with the mean over its documents, and the
    intervals cover other documents too (from 10 in a domain on). `roles` names each recipe's role;
    one that isn't `candidate` is a control. A recipe that stands in `roles` alone has no value,
    which is told. `order_only` recipes are set aside.

    Raises InputError for missing columns, a repeated run, fewer than two recipes with values, no
    candidate, a baseline without value or without rank, or a confidence outside 0 to 1.
    """
    check_confidence(confidence)
    roles = roles or {}
    runs = without_documents(table, "recipe")
    matrix = value_matrix(runs, "recipe")
    known = dict.fromkeys([*matrix.index, *roles])
    set_aside = tuple(name for name in known if name in set(order_only))
    matrix = matrix.drop(index=list(set_aside), errors="ignore")
    matrix = matrix.dropna(how="all").dropna(how="all", axis="columns")
    _check_recipes(matrix, baseline, set_aside)
    role_of = {str(name): roles.get(str(name), CANDIDATE) for name in matrix.index}
    control = np.array([role != CANDIDATE for role in role_of.values()])
    _check_candidates(control)
    values = matrix.to_numpy(dtype=float)
    documents = document_noise(table, "recipe", list(role_of))
    pairwise = compare_all(values, control, confidence, documents)
    fit = pairwise.fit
    ranking = Ranking(
        baseline=baseline,
        confidence=confidence,
        model="recipe + seed" if fit.blocked else "recipe",
        seeds=tuple(str(seed) for seed in matrix.columns),
        standard_deviation=None if fit.variance is None else float(np.sqrt(fit.variance)),
        degrees_of_freedom=fit.degrees_of_freedom,
        seed_agreement=seed_agreement(matrix[~control]),
        recipes=_ranked(role_of, values, pairwise, baseline, confidence),
        pairs=_pairs(list(role_of), pairwise),
        order_only=set_aside,
        missing=tuple(name for name in known if name not in role_of and name not in set_aside),
    )
    found = list(_cautions(ranking, values, list(role_of), fit))
    if "document" in table.columns and documents is None:
        found.append(cautions.few_documents_caution())
    return replace(ranking, cautions=tuple(found))


def rank_domains(
    table: pd.DataFrame,
    baseline: str,
    roles: Mapping[str, str] | None = None,
    *,
    confidence: float = 0.95,
    order_only: Collection[str] = (),
) -> dict[str, Ranking]:
    """A ranking per domain of `table`, with Bonferroni's correction for the number of domains.

    Each of a ranking's families of comparisons holds jointly over all domains at `confidence`.
    Raises as `rank` does.
    """
    check_columns(table, ("recipe", "seed", "domain", "value"))
    domains = sorted(set(table["domain"]) - {AVERAGE})
    level = 1 - (1 - confidence) / max(len(domains), 1)
    return {
        str(domain): rank(
            table[table["domain"] == domain],
            baseline,
            roles,
            confidence=level,
            order_only=order_only,
        )
        for domain in domains
    }


def _ranked(
    roles: Mapping[str, str],
    values: Floats,
    pairwise: Pairwise,
    baseline: str,
    confidence: float,
) -> tuple[RankedRecipe, ...]:
    names = list(roles)
    base = names.index(baseline)
    means, width = pairwise.means, pairwise.width
    difference, margin = pairwise.difference[:, base], pairwise.planned_margin[:, base]
    settled = np.abs(difference) > margin
    decided = pairwise.difference + pairwise.margin < 0
    candidate = np.array([role == CANDIDATE for role in roles.values()])
    drawn = draw_ranks(pairwise, candidate, confidence)
    return tuple(
        RankedRecipe(
            recipe=names[i],
            role=roles[names[i]],
            seed_values=tuple(optional(value) for value in values[i]),
            mean=float(means[i]),
            low=optional(means[i] - width[i]),
            high=optional(means[i] + width[i]),
            difference=float(difference[i]),
            difference_low=optional(difference[i] - margin[i]),
            difference_high=optional(difference[i] + margin[i]),
            p_value=optional(pairwise.planned_p_values[i, base]),
            verdict="baseline" if i == base else verdict_of(difference[i], margin[i]),
            seeds_to_settle=(
                None if settled[i] else optional_int(pairwise.seeds_to_settle[i, base])
            ),
            rank=1 + int((pairwise.difference[i] > 0).sum()),
            best_rank=1 + int(decided[:, i].sum()),
            worst_rank=len(names) - int(decided[i].sum()),
            probability_best=optional(drawn.best[i]),
            rank_low=optional_int(drawn.low[i]),
            rank_high=optional_int(drawn.high[i]),
        )
        for i in _order(names, means)
    )


def _pairs(names: list[str], pairwise: Pairwise) -> tuple[PairComparison, ...]:
    """All pairs, in the order of the ranking; half a million of them in two seconds."""
    order = np.array(_order(names, pairwise.means))
    first, second = (order[side] for side in np.triu_indices(len(order), 1))
    difference, margin = pairwise.difference[first, second], pairwise.margin[first, second]
    columns = (
        [names[i] for i in first],
        [names[j] for j in second],
        difference.tolist(),
        optionals(difference - margin),
        optionals(difference + margin),
        optionals(pairwise.p_values[first, second]),
        verdicts_of(difference, margin),
        optionals(pairwise.seeds_to_settle[first, second]),
    )
    return tuple(
        PairComparison(
            first=one,
            second=other,
            difference=shift,
            low=low,
            high=high,
            p_value=p_value,
            verdict=verdict,
            seeds_to_settle=None if seeds is None else int(seeds),
        )
        for one, other, shift, low, high, p_value, verdict, seeds in zip(*columns, strict=True)
    )


def _order(names: list[str], means: Floats) -> list[int]:
    """Indices from the lowest mean to the highest; ties by name."""
    return sorted(range(len(names)), key=lambda index: (means[index], names[index]))


def _cautions(
    ranking: Ranking, values: Floats, names: list[str], fit: AdditiveFit
) -> Iterator[Caution]:
    if ranking.order_only:
        yield cautions.order_only_caution(ranking.order_only)
    if ranking.missing:
        yield cautions.no_recipe_values_caution(ranking.missing)
    yield from cautions.design_cautions(values, names, blocked=fit.blocked)
    if found := cautions.noise_caution(fit.variance):
        yield found
    if found := cautions.seed_caution(ranking.seed_agreement):
        yield found
    roles = [item.role for item in ranking.recipes]
    for place, item in enumerate(ranking.recipes):
        last = set(roles[place:]) == {BAD_CONTROL}
        if item.role == BAD_CONTROL and (
            found := cautions.bad_control_caution(
                item.recipe, last=last, worse=item.verdict == "worse"
            )
        ):
            yield found


def _check_candidates(control: npt.NDArray[np.bool_]) -> None:
    if control.all():
        raise InputError(
            "controls alone have values", expected="at least one candidate", fix="add a candidate"
        )


def _check_recipes(matrix: pd.DataFrame, baseline: str, set_aside: tuple[str, ...]) -> None:
    if baseline in set_aside:
        raise InputError(
            f"baseline {baseline!r} differs from another recipe only in order",
            expected="a baseline that can be ranked",
            fix="take another baseline",
        )
    if baseline not in matrix.index:
        raise InputError(
            f"baseline {baseline!r} without a value",
            expected=f"one of {', '.join(map(str, matrix.index)) or 'the recipes'}",
            fix="run it, or take another baseline",
        )
    if len(matrix) < 2:
        raise InputError(
            "one recipe with values", expected="at least two recipes to rank", fix="add recipes"
        )
