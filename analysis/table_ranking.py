"""Ranks anybody's table of results: recipes, seeds, domains, one or more proxy methods, a target.

Columns recipe, seed, domain (or task), value; lower is better unless the caller says otherwise.
Optional: `stage` (proxy or target; default proxy), `method` (which proxy; default proxy),
`document` (one row per document), `flops` (of the run), `dimension` and `role` of the recipe (role
candidate, or another word for a control).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from curricle.analysis.cautions import Caution
from curricle.analysis.measure import LOSS, SCORE, Measure
from curricle.analysis.methods import Methods, judge_methods
from curricle.analysis.observations import check_columns, finite
from curricle.analysis.ranked import CANDIDATE, Ranking
from curricle.analysis.ranking import rank, rank_domains
from curricle.analysis.results import AVERAGE
from curricle.analysis.turning import turned_all, turned_methods
from curricle.core.errors import InputError

PROXY, TARGET = "proxy", "target"
_REQUIRED = ("recipe", "seed", "domain", "value")
_OPTIONAL = ("stage", "method", "document", "flops", "dimension", "role")


@dataclass(frozen=True, kw_only=True)
class TableRanking:
    """Rankings of a table: by method, then by domain (`average` first); the target's by domain.

    `methods` judges the former against the latter, None without a target. With `higher_is_better`
    means, differences and intervals are those of the table's values, and the first recipe has the
    highest.
    """

    proxies: Mapping[str, Mapping[str, Ranking]]
    target: Mapping[str, Ranking]
    methods: Methods | None
    higher_is_better: bool = False

    @property
    def measure(self) -> Measure:
        """What the values are."""
        return SCORE if self.higher_is_better else LOSS

    def averages(self) -> dict[str, Ranking]:
        """The rankings on the mean over domains, by method, the target's last."""
        found = {method: rankings[AVERAGE] for method, rankings in self.proxies.items()}
        return found | ({TARGET: self.target[AVERAGE]} if self.target else {})

    def cautions(self) -> tuple[tuple[str, Caution], ...]:
        """(method, caution) of all rankings on the average, then those about agreement."""
        found = [
            (method, caution)
            for method, ranking in self.averages().items()
            for caution in ranking.cautions
        ]
        judged = self.methods.cautions if self.methods else ()
        return (*found, *(("", caution) for caution in judged))


def rank_table(
    table: pd.DataFrame,
    *,
    baseline: str | None = None,
    confidence: float = 0.95,
    higher_is_better: bool = False,
) -> TableRanking:
    """Rank the recipes of `table` by every method and by the target.

    `baseline` (default: the first candidate) is what verdicts compare with; `higher_is_better` for
    tables of accuracies. Raises InputError for missing or unknown columns and stages, a recipe with
    two roles or dimensions, and as `rank`.
    """
    table = _checked(table)
    if higher_is_better:
        table = table.assign(value=-finite(table["value"]))
    roles = _one_each(table, "role")
    dimensions = _one_each(table, "dimension")
    if baseline is None:
        candidates = [name for name in table["recipe"] if roles.get(name, CANDIDATE) == CANDIDATE]
        baseline = candidates[0] if candidates else str(table["recipe"].iloc[0])
    parts = {
        str(method): rows
        for method, rows in table[table["stage"] == PROXY].groupby("method", sort=False)
    }
    proxies = {
        method: _rankings(rows, baseline, roles, confidence) for method, rows in parts.items()
    }
    rows = table[table["stage"] == TARGET]
    target = _rankings(rows, baseline, roles, confidence) if len(rows) else {}
    methods = None
    if target and proxies:
        costs = {method: cost for method, part in parts.items() if (cost := _flops(part))}
        methods = judge_methods(proxies, target, dimensions=dimensions, flops=costs)
    found = TableRanking(proxies=proxies, target=target, methods=methods)
    return _turned(found) if higher_is_better else found


def _turned(found: TableRanking) -> TableRanking:
    """What was found of negated values, as that of the values."""
    return TableRanking(
        proxies={method: turned_all(rankings) for method, rankings in found.proxies.items()},
        target=turned_all(found.target),
        methods=turned_methods(found.methods) if found.methods else None,
        higher_is_better=True,
    )


def _rankings(
    rows: pd.DataFrame, baseline: str, roles: Mapping[str, str], confidence: float
) -> dict[str, Ranking]:
    here = {name: role for name, role in roles.items() if name in set(rows["recipe"])}
    found = {AVERAGE: rank(rows, baseline, here, confidence=confidence)}
    if len(set(rows["domain"])) > 1:
        found |= rank_domains(rows, baseline, here, confidence=confidence)
    return found


def _checked(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a domain, a stage and a method in every row, names as text."""
    if "domain" not in table.columns:
        table = table.rename(columns={"task": "domain"})
    check_columns(table, _REQUIRED)
    known = {*_REQUIRED, *_OPTIONAL}
    if unknown := [str(name) for name in table.columns if name not in known]:
        raise InputError(
            f"unknown column {unknown[0]!r}",
            expected=f"columns among {', '.join((*_REQUIRED, *_OPTIONAL))}",
            fix="rename or remove it",
        )
    if not len(table):
        raise InputError("a table without rows", expected="one row per run and domain", fix="fill")
    table = table.reset_index(drop=True)
    for column in _REQUIRED[:3]:
        empty = table.index[table[column].isna()]
        if len(empty):
            raise InputError(
                f"no {column} in row {int(empty[0]) + 1}", expected="a name", fix="fill the cell"
            )
    stages = table["stage"] if "stage" in table.columns else pd.Series(PROXY, table.index)
    if wrong := sorted(set(stages.astype(str)) - {PROXY, TARGET}):
        raise InputError(
            f"stage {wrong[0]!r}", expected=f"{PROXY} or {TARGET}", fix="correct the stage"
        )
    methods = table["method"] if "method" in table.columns else pd.Series(PROXY, table.index)
    if TARGET in set(methods.astype(str)[stages.astype(str) == PROXY]):
        raise InputError(
            f"a proxy method called {TARGET!r}", expected="another name", fix="rename the method"
        )
    return table.assign(
        recipe=table["recipe"].astype(str),
        domain=table["domain"].astype(str),
        stage=stages.astype(str),
        method=methods.fillna(PROXY).astype(str),
    )


def _one_each(table: pd.DataFrame, column: str) -> dict[str, str]:
    """Each recipe's entry in `column`; nothing where there is no such column or entry."""
    if column not in table.columns:
        return {}
    pairs = table[["recipe", column]].dropna().astype(str).drop_duplicates()
    twice = pairs[pairs.duplicated("recipe")]
    if len(twice):
        name = twice["recipe"].iloc[0]
        raise InputError(
            f"recipe {name!r} with two entries in {column}", expected="one", fix="correct the cells"
        )
    return dict(zip(pairs["recipe"], pairs[column], strict=True))


def _flops(rows: pd.DataFrame) -> float | None:
    """FLOPs of all runs of a method; a run's rows repeat its own. None where some run has none."""
    if "flops" not in rows.columns:
        return None
    try:
        runs = rows.assign(flops=rows["flops"].astype(float)).groupby(["recipe", "seed"])["flops"]
    except (ValueError, TypeError) as error:
        raise InputError(
            f"column flops: {error}", expected="numbers", fix="correct or empty the cell"
        ) from None
    total = runs.max().to_numpy()
    return float(total.sum()) if np.isfinite(total).all() else None
