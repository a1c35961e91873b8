"""Scores of a dataset's samples out of other numbers: of their documents, or other scores."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from curricle.core.scores_file import ranks_within
from curricle.core.token_dataset import DOCUMENTS, TokenDataset

Floats = npt.NDArray[np.float64]


def sample_means(folder: Path, sequence_length: int, values: dict[str, float]) -> Floats:
    """The mean of the documents' `values` over the input tokens of each sample, (samples,).

    `folder` holds a dataset, `values` has an entry for each document's id. A document counts for as
    much as it has tokens in the sample.
    """
    dataset = TokenDataset(folder, sequence_length)
    table = pq.read_table(folder / DOCUMENTS, columns=["id", "tokens", "shard", "offset"])
    of_documents = np.array([values[name] for name in table["id"].to_pylist()], dtype=np.float64)
    tokens, offsets = (table[name].to_numpy() for name in ("tokens", "offset"))
    shards = np.asarray(table["shard"].to_pylist(), dtype=object)
    means = [np.empty(0)]
    for shard, samples in dataset.samples_by_shard():
        mine = np.flatnonzero(shards == shard)
        # The integral of the values over the tokens is linear within each document.
        ends = np.concatenate([offsets[mine], [offsets[mine][-1] + tokens[mine][-1]]])
        integral = np.concatenate([[0.0], np.cumsum(of_documents[mine] * tokens[mine])])
        edges = np.interp(np.arange(samples + 1) * sequence_length, ends, integral)
        means.append(np.diff(edges) / sequence_length)
    return np.concatenate(means)


def weighted_ranks(
    scores: Mapping[str, Floats], weights: Mapping[str, float], domains: Sequence[str]
) -> Floats:
    """The weighted mean of the ranks that each score gives inside each domain, (samples,).

    A negative weight counts the rank from the other end.
    """
    total = sum(abs(weight) for weight in weights.values())
    parts = [weights[name] * ranks_within(scores[name], domains) for name in weights]
    mean: Floats = np.sum(parts, axis=0) / total
    return mean
