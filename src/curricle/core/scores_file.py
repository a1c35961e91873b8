"""The scores format: `scores.parquet` with `sample` (int64), `domain` and one column per score."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curricle.core.errors import InputError

SCORES = "scores.parquet"

Floats = npt.NDArray[np.float64]


def write_scores(folder: Path, domains: list[str], scores: Mapping[str, Floats]) -> None:
    """Store one row per sample, in sample order; `domains` and every score have one entry each."""
    columns = {name: pa.array(values, pa.float64()) for name, values in scores.items()}
    samples = pa.array(range(len(domains)), pa.int64())
    table = pa.table({"sample": samples, "domain": pa.array(domains, pa.string()), **columns})
    pq.write_table(table, folder / SCORES, compression="zstd")


def read_scores(folder: Path, column: str) -> Floats:
    """One score of every sample, shape (samples,).

    Raises InputError if the column is missing or holds NaN, or if the samples aren't dense.
    """
    table = pq.read_table(folder / SCORES)
    if column not in table.column_names:
        known = sorted(set(table.column_names) - {"sample", "domain"})
        raise InputError(f"score {column!r}", expected=f"one of {known}", fix="correct the name")
    if not np.array_equal(table["sample"].to_numpy(), np.arange(len(table))):
        raise InputError(
            "scores don't cover every sample once",
            expected="sample ids 0, 1, 2, …",
            fix="score the whole dataset",
        )
    if column_nulls := table[column].null_count + pc.sum(pc.is_nan(table[column])).as_py():
        raise InputError(
            f"score {column!r}: {column_nulls} samples without a number",
            expected="a number for every sample",
            fix="score again, or choose another column",
        )
    return np.asarray(table[column].to_numpy(), dtype=np.float64)
