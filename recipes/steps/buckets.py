"""Buckets of a score by quantile, in all documents or in each domain (as RedPajama-V2's)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curricle.recipes.codepoints import Indices
from curricle.recipes.document_file import Batch, Documents
from curricle.recipes.dropped import NO_SCORE, Drop, DropLog
from curricle.recipes.measuring import column_of, read_columns
from curricle.recipes.specs.steps import Bucket

Values = npt.NDArray[np.float64]

BELOW, ABOVE = "below-bucket", "above-bucket"


def bucket(
    step: Bucket, documents: Documents, measured: Path
) -> Callable[[Batch, DropLog], pa.Table]:
    """Keep the documents whose rank lies between the quantiles."""
    scores = read_columns(measured)[column_of(step.measurement)]
    ids = documents.codes("id")
    groups = documents.codes("domain") if step.scope == "domain" else np.zeros_like(ids)
    places, limits = _places(step, scores, groups, ids)

    def drop(row: int) -> Drop | None:
        if np.isnan(scores[row]):
            return Drop(NO_SCORE)
        if places[row] == 0:
            return None
        reason = BELOW if places[row] < 0 else ABOVE
        return Drop(reason, float(scores[row]), float(limits[row]))

    def transform(batch: Batch, log: DropLog) -> pa.Table:
        rows = range(batch.rows.start, batch.rows.stop)
        return log.filter(batch.table, [drop(row) for row in rows])

    return transform


def _places(
    step: Bucket, scores: Values, groups: Indices, ids: Indices
) -> tuple[npt.NDArray[np.int8], Values]:
    """For each document -1 below, 0 in, 1 above the bucket, and the score at that end of it.

    Documents without a score don't count.
    """
    places, limits = np.zeros(len(scores), dtype=np.int8), np.zeros_like(scores)
    order = np.lexsort((ids, scores, groups))
    order = order[~np.isnan(scores[order])]
    for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        first, last = (round(share * len(members)) for share in (step.lower, step.upper))
        places[members[:first]], places[members[last:]] = -1, 1
        limits[members[:first]] = scores[members[min(first, len(members) - 1)]]
        limits[members[last:]] = scores[members[max(last - 1, 0)]]
    return places, limits
