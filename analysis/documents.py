"""Two models on the same documents: a paired comparison with an interval over documents.

Documents differ far more from each other than models do, so that what two models need for the same
document is compared, and the documents are drawn anew. The interval says whether the difference
would hold on other documents for these very models; whether it would hold for other seeds is the
question of `comparison.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from curricle.analysis.results import AVERAGE
from curricle.analysis.verdicts import Verdict
from curricle.core.bootstrap import CONFIDENCE, Floats, Group, Interval, mean_ratio
from curricle.core.errors import InputError

KEY = ["domain", "document"]


@dataclass(frozen=True, kw_only=True)
class DocumentComparison:
    """Bits per byte of `arm` on one domain's documents, or on the mean over domains.

    `value` is the arm's own, `difference` the arm's minus the control's, each with its interval
    over documents at `confidence`; those of the domains hold jointly over all domains. The control
    itself has no difference.
    """

    arm: str
    control: str
    domain: str
    documents: int
    value: Interval
    difference: Interval | None
    verdict: Verdict
    confidence: float


def compare_documents(
    arms: Mapping[str, Sequence[pd.DataFrame]], control: str, *, confidence: float = CONFIDENCE
) -> tuple[DocumentComparison, ...]:
    """Compare every arm with `control`: on the mean over domains, then domain by domain.

    `arms` has a table for each of an arm's models (its seeds): a row per document with columns
    domain, document, bytes and nats, as perplexity writes them. An arm's nats are the mean over its
    models. Bits per byte allow models with different tokenizers.

    Raises InputError for tables that aren't about the same documents, or a control without any.
    """
    if not arms.get(control):
        raise InputError(
            f"control {control!r} without documents",
            expected=f"one of {', '.join(map(repr, arms)) or 'the arms'}",
            fix="evaluate it, or compare with another one",
        )
    base = _mean(arms[control])
    found = []
    for arm, tables in arms.items():
        mine = _mean(tables)
        _check_same(arm, mine, control, base)
        found += _compare(arm, mine, control, base, confidence)
    return tuple(found)


def _compare(
    arm: str, mine: pd.DataFrame, control: str, base: pd.DataFrame, confidence: float
) -> list[DocumentComparison]:
    names = sorted(set(mine["domain"]))
    domain_D = mine["domain"].to_numpy()
    size_D = mine["bytes"].to_numpy(dtype=float)
    bits_D = mine["nats"].to_numpy(dtype=float) / math.log(2)
    change_D = bits_D - base["nats"].to_numpy(dtype=float) / math.log(2)
    parts = {name: domain_D == name for name in names}
    level = 1 - (1 - confidence) / len(names)
    asked = [(AVERAGE, names, confidence)]
    asked += [(name, [name], level) for name in names if len(names) > 1]

    def estimate(amount_D: Floats, chosen: list[str], sure: float) -> Interval:
        groups = [Group(amount_D[parts[name]], size_D[parts[name]]) for name in chosen]
        return mean_ratio(groups, confidence=sure)

    found = []
    for domain, chosen, sure in asked:
        difference = None if arm == control else estimate(change_D, chosen, sure)
        comparison = DocumentComparison(
            arm=arm,
            control=control,
            domain=domain,
            documents=int(sum(parts[name].sum() for name in chosen)),
            value=estimate(bits_D, chosen, sure),
            difference=difference,
            verdict="baseline",
            confidence=sure,
        )
        found.append(replace(comparison, verdict=_verdict(difference)))
    return found


def _verdict(difference: Interval | None) -> Verdict:
    if difference is None:
        return "baseline"
    if difference.low is None or difference.high is None:
        return "cannot tell"
    if difference.high < 0:
        return "better"
    return "worse" if difference.low > 0 else "cannot tell"


def _mean(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One row per document, in a fixed order: its bytes, and the mean of its nats."""
    filled = [table[table["bytes"] > 0].sort_values(KEY, ignore_index=True) for table in tables]
    for table in filled:
        _check_same("a model", table, "another of the same arm", filled[0])
    nats = np.mean([table["nats"].to_numpy(dtype=float) for table in filled], axis=0)
    return filled[0][[*KEY, "bytes"]].assign(nats=nats)


def _check_same(arm: str, mine: pd.DataFrame, control: str, base: pd.DataFrame) -> None:
    columns = [*KEY, "bytes"]
    ours, theirs = (
        set(table[columns].itertuples(index=False, name=None)) for table in (mine, base)
    )
    if ours != theirs or len(ours) != len(mine) or len(mine) != len(base):
        raise InputError(
            f"{arm} on {len(mine)} documents and {control} on {len(base)}, "
            f"{len(ours & theirs)} of them in both",
            expected="the same documents, cut at the same place, each once",
            fix="evaluate both on the same held-out data with the same settings",
        )
