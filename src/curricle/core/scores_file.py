"""The scores format: `scores.parquet` with `sample` (int64), `domain` and columns for each score.

A score `x` has a column `x`, `x_rank`, its rank inside the sample's domain (0 lowest, 1 highest,
equal scores their mean), and where it can be measured on parts of a sample `x_first_half` and
`x_second_half`, by which its reliability is judged.
"""

import itertools
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curricle.core.errors import InputError

SCORES = "scores.parquet"
RANK, HALVES = "_rank", ("_first_half", "_second_half")
_DERIVED = (RANK, *HALVES)

Floats = npt.NDArray[np.float64]


def column_of(score: str) -> str:
    """The column that holds the score a study calls `score`; it is the same for all its proxies."""
    return proxied(score).score.replace("-", "_")


class Proxied(NamedTuple):
    """A score, and the proxy that measures it: empty for a study's own, or where none does."""

    score: str
    proxy: str


def proxied(name: str) -> Proxied:
    """What `SCORE@PROXY`, or `SCORE` alone, stands for."""
    score, _, proxy = name.partition("@")
    return Proxied(score, proxy)


def write_scores(
    folder: Path,
    domains: Sequence[str],
    scores: Mapping[str, Floats],
    halves: Mapping[str, Floats] | None = None,
) -> None:
    """Store one row per sample, in sample order; `domains` and every score have one entry each.

    `halves[name]` holds the score of each sample's first and second half, shape (2, samples).
    """
    columns = {"sample": pa.array(np.arange(len(domains)), pa.int64())}
    columns["domain"] = pa.array(domains, pa.string())
    for name, values in scores.items():
        columns[name] = pa.array(values, pa.float64())
        columns[name + RANK] = pa.array(ranks_within(values, domains), pa.float64())
        if halves and name in halves:
            parts = zip(HALVES, halves[name], strict=True)
            columns |= {name + suffix: pa.array(part, pa.float64()) for suffix, part in parts}
    pq.write_table(pa.table(columns), folder / SCORES, compression="zstd")


def ranks_within(values: Floats, domains: Sequence[str]) -> Floats:
    """Rank of each value among those of its domain, from 0 (lowest) to 1; equal ones their mean."""
    ranks = np.empty(len(values))
    _, codes = np.unique(np.asarray(domains, dtype=object), return_inverse=True)
    for code in range(codes.max(initial=-1) + 1):
        members = np.flatnonzero(codes == code)
        _, places, counts = np.unique(values[members], return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        ranks[members] = (ends - (counts + 1) / 2)[places] / max(len(members) - 1, 1)
    return ranks


def read_scores(folder: Path, column: str, *, mapped_in: Path | None = None) -> Floats:
    """One score of every sample, shape (samples,), read piece by piece.

    They lie in memory, or in a mapped file in the folder `mapped_in`, which has no name there.
    Raises InputError if the column is missing or holds NaN, or if the samples aren't dense.
    """
    with pq.ParquetFile(folder / SCORES) as file:
        known = file.schema_arrow.names
        if column not in known or column in ("sample", "domain"):
            raise InputError(
                f"score {column!r}",
                expected=f"one of {score_names(folder)}",
                fix="correct the name",
            )
        count, done = file.metadata.num_rows, 0
        values = np.empty(count) if mapped_in is None else _mapped_floats(mapped_in, count)
        # Batches out of all row groups at once hold the whole columns, 16 bytes a sample.
        groups = range(file.metadata.num_row_groups)
        read = (file.iter_batches(row_groups=[n], columns=["sample", column]) for n in groups)
        for batch in itertools.chain.from_iterable(read):
            end = done + batch.num_rows
            _check_dense(batch["sample"].to_numpy(), done)
            _check_numbers(batch[column], column)
            values[done:end] = batch[column].to_numpy()
            done = end
    return values


def _mapped_floats(folder: Path, count: int) -> Floats:
    with tempfile.TemporaryFile(dir=folder) as file:
        # Without room for its pages the process would end as they are filled.
        os.posix_fallocate(file.fileno(), 0, count * np.dtype(np.float64).itemsize)
        return np.asarray(np.memmap(file, np.float64, mode="r+", shape=(count,)))


def read_halves(folder: Path, score: str) -> Floats | None:
    """The score of each sample's halves, shape (2, samples); None if it wasn't measured on them."""
    if score + HALVES[0] not in pq.read_schema(folder / SCORES).names:
        return None
    return np.stack([read_scores(folder, score + suffix) for suffix in HALVES])


def score_names(folder: Path) -> list[str]:
    """The scores in a folder, without what is derived from them."""
    names = pq.read_schema(folder / SCORES).names
    return sorted(
        name for name in names if name not in ("sample", "domain") and not _is_derived(name, names)
    )


def _is_derived(name: str, names: list[str]) -> bool:
    return any(name.endswith(end) and name.removesuffix(end) in names for end in _DERIVED)


def _check_dense(samples: npt.NDArray[np.int64], start: int) -> None:
    if not np.array_equal(samples, np.arange(start, start + len(samples))):
        raise InputError(
            "scores don't cover every sample once",
            expected="sample ids 0, 1, 2, …",
            fix="score the whole dataset",
        )


def _check_numbers(values: pa.Array, column: str) -> None:
    missing = values.null_count + (pc.sum(pc.invert(pc.is_finite(values))).as_py() or 0)
    if missing:
        raise InputError(
            f"score {column!r}: {missing} samples without a number",
            expected="a number for every sample",
            fix="score again, or choose another column",
        )
