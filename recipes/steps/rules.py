"""Filters by rules: a document goes for the first rule that its statistics break."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curricle.recipes.document_file import Batch
from curricle.recipes.dropped import NO_SCORE, Drop, DropLog
from curricle.recipes.measuring import Columns, read_columns
from curricle.recipes.specs.rules import Rule, RuleFilter


def rule_filter(step: RuleFilter, measured: Path) -> Callable[[Batch, DropLog], pa.Table]:
    """Keep what breaks no rule of `step`."""
    columns = read_columns(measured)

    def transform(batch: Batch, log: DropLog) -> pa.Table:
        of_batch = {name: values[batch.rows] for name, values in columns.items()}
        return log.filter(batch.table, broken_rules(step.rules, of_batch))

    return transform


def broken_rules(rules: Sequence[Rule], columns: Columns) -> list[Drop | None]:
    """For each document the first rule that it breaks; a score it doesn't have breaks any."""
    documents = len(next(iter(columns.values())))
    first: npt.NDArray[np.int64] = np.full(documents, -1)
    for index, rule in reversed(list(enumerate(rules))):
        values = columns[rule.statistic]
        broken = values < rule.limit if rule.is_minimum else values > rule.limit
        first[broken | np.isnan(values)] = index
    drops: list[Drop | None] = [None] * documents
    for row in np.flatnonzero(first >= 0):
        rule = rules[first[row]]
        value = float(columns[rule.statistic][row])
        has_score = not math.isnan(value)
        drops[row] = Drop(rule.reason, value, rule.limit) if has_score else Drop(NO_SCORE)
    return drops
