import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricle.core import token_dataset
from curricle.core.token_dataset import DatasetWriter, TokenDataset, TokenizedDocument
from curricle.recipes.sample_scores import sample_means

LENGTHS = st.lists(st.integers(0, 30), min_size=1, max_size=15)


@given(st.dictionaries(st.sampled_from("ab"), LENGTHS, min_size=1), st.integers(1, 9))
def test_means_are_those_of_the_tokens_one_by_one(
    domains: dict[str, list[int]], sequence_length: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        patch.setattr(token_dataset, "MAX_SHARD_TOKENS", 60)
        _write(folder, domains)
        draw = np.random.default_rng(0)
        rows = pq.read_table(folder / "documents.parquet").to_pylist()
        values = {row["id"]: float(draw.normal()) for row in rows}
        found = sample_means(folder, sequence_length, values)
        dataset = TokenDataset(folder, sequence_length)
        expected = []
        for shard, samples in dataset.samples_by_shard():
            of_tokens = [
                values[row["id"]]
                for row in rows
                if row["shard"] == shard
                for _ in range(row["tokens"])
            ]
            for number in range(samples):
                window = of_tokens[number * sequence_length : (number + 1) * sequence_length]
                expected.append(np.mean(window))
    assert len(found) == len(dataset)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def _write(folder: Path, domains: dict[str, list[int]]) -> None:
    writer = DatasetWriter(folder, vocabulary_size=10, end_of_text=0)
    for domain, lengths in domains.items():
        documents = (
            TokenizedDocument(f"{domain}{number}", "s", 1, [1] * length)
            for number, length in enumerate(lengths)
        )
        writer.write_domain(domain, documents)
    writer.finish()
