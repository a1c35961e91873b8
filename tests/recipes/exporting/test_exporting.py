import csv
import gzip
import itertools
import json
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from curricle.core import token_dataset
from curricle.core.errors import InputError, IntegrityError
from curricle.core.token_dataset import DatasetWriter, TokenizedDocument
from curricle.recipes.exporting import export_dataset, mds, olmo

# A Python with the formats' own packages, and the script that it runs.
READERS, READER = os.environ.get("CURRICLE_READERS"), Path(__file__).with_name("foreign_readers.py")
LENGTHS = {"news": [5, 0, 300, 17], "web.code": [70_000, 1]}

Tokens = npt.NDArray[np.int64]
Exported = dict[str, list[tuple[str, Tokens]]]


def _tokens(domain: str, number: int, vocabulary: int) -> Tokens:
    draw = np.random.default_rng([len(domain), number])
    return draw.integers(1, vocabulary, LENGTHS[domain][number])


@pytest.fixture(params=[400, 100_000], ids=["16 bits", "32 bits"])
def vocabulary(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def dataset(tmp_path: Path, vocabulary: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of two domains, the first in several shards."""
    monkeypatch.setattr(token_dataset, "MAX_SHARD_TOKENS", 250)
    folder = tmp_path / "dataset"
    folder.mkdir()
    writer = DatasetWriter(folder, vocabulary_size=vocabulary, end_of_text=0)
    for domain, lengths in LENGTHS.items():
        documents = [
            TokenizedDocument(
                f"{domain}-ü-{number}", f"from, {number}", 1, _tokens(domain, number, vocabulary)
            )
            for number in range(len(lengths))
        ]
        writer.write_domain(domain, documents)
    writer.finish(tokenizer="digest", steps=[])
    return folder


@pytest.fixture
def expected(vocabulary: int) -> Exported:
    """Ids and tokens with their end by domain."""
    return {
        domain: [
            (f"{domain}-ü-{number}", np.append(_tokens(domain, number, vocabulary), 0))
            for number in range(len(lengths))
        ]
        for domain, lengths in LENGTHS.items()
    }


def _check(found: list[tuple[str, Tokens]], expected: list[tuple[str, Tokens]]) -> None:
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_megatrons_own_reader_finds_the_documents(
    dataset: Path, expected: Exported, tmp_path: Path
) -> None:
    indexed_dataset = pytest.importorskip("megatron.core.datasets.indexed_dataset")
    export_dataset(dataset, "megatron", tmp_path / "out")
    for domain, documents in expected.items():
        prefix = str(tmp_path / "out" / f"{domain}_text_document")
        read = indexed_dataset.IndexedDataset(prefix)
        assert len(read) == len(documents)
        assert read.document_indices.tolist() == list(range(len(documents) + 1))
        _check([(documents[i][0], read[i]) for i in range(len(read))], documents)


def _mds_samples(folder: Path) -> Iterator[dict[str, Any]]:
    """Samples by MosaicML's published layout."""
    index = json.loads((folder / "index.json").read_text())
    assert index["version"] == 2
    for shard in index["shards"]:
        content = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(content) == shard["raw_data"]["bytes"]
        (samples,) = struct.unpack_from("<I", content)
        assert samples == shard["samples"]
        offsets = struct.unpack_from(f"<{samples + 1}I", content, 4)
        assert offsets[-1] == len(content)
        config = json.loads(content[4 * (samples + 2) : offsets[0]])
        assert config.items() <= shard.items()
        for start, end in itertools.pairwise(offsets):
            yield _mds_sample(content[start:end], config)


def _mds_sample(content: bytes, config: dict[str, Any]) -> dict[str, Any]:
    names, start = config["column_names"], 4 * len(config["column_names"])
    assert names == sorted(names)
    sample: dict[str, Any] = {}
    for name, encoding, size in zip(
        names, config["column_encodings"], np.frombuffer(content[:start], "<u4"), strict=True
    ):
        value = content[start : start + size]
        start += size
        if encoding == "str":
            sample[name] = value.decode()
        else:
            # One dimension; its length takes 1, 2 or 4 bytes.
            assert value[0] >> 2 == 1
            width = 1 << (value[0] & 3)
            sample[name] = np.frombuffer(value[1 + width :], encoding.removeprefix("ndarray:"))
            assert int.from_bytes(value[1 : 1 + width], "little") == len(sample[name])
    assert start == len(content)
    return sample


def test_mds_holds_the_documents(
    dataset: Path, expected: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mds, "SHARD_BYTES", 700)
    export_dataset(dataset, "mds", tmp_path / "out")
    for domain, documents in expected.items():
        samples = list(_mds_samples(tmp_path / "out" / domain))
        _check([(sample["id"], sample["tokens"]) for sample in samples], documents)
        assert samples[1]["source"] == "from, 1"
    assert len(list((tmp_path / "out/news").glob("*.mds"))) > 1


def test_olmos_files_hold_the_documents(
    dataset: Path, expected: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(olmo, "PART_TOKENS", 310)
    export_dataset(dataset, "olmo", tmp_path / "out")
    dtype = json.loads((dataset / "manifest.json").read_text())["dtype"]
    for domain, documents in expected.items():
        found = []
        for path in sorted((tmp_path / "out" / domain).glob("*.npy")):
            tokens = np.memmap(path, mode="r", dtype=dtype)
            with gzip.open(path.with_suffix(".csv.gz"), "rt", newline="") as stream:
                rows = list(csv.reader(stream))
            # OLMo itself finds the documents by their last token.
            assert [int(row[1]) - 1 for row in rows] == np.flatnonzero(tokens == 0).tolist()
            found += [(row[2], tokens[int(row[0]) : int(row[1])]) for row in rows]
        _check(found, documents)
    assert len(list((tmp_path / "out/news").glob("*.npy"))) == 2


@pytest.mark.parametrize("file_format", ["mds", "olmo"])
@pytest.mark.skipif(READERS is None, reason="make test-readers installs the formats' packages")
def test_the_formats_own_packages_find_the_documents(
    dataset: Path, expected: Exported, tmp_path: Path, file_format: str
) -> None:
    export_dataset(dataset, file_format, tmp_path / "out")
    dtype = np.dtype(json.loads((dataset / "manifest.json").read_text())["dtype"]).name
    for domain, documents in expected.items():
        folder = str(tmp_path / "out" / domain)
        command = [str(READERS), str(READER), file_format, folder, dtype]
        found = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
        for (name, tokens), (known, wanted) in zip(found, documents, strict=True):
            assert name in (known, None)
            np.testing.assert_array_equal(tokens, wanted)


@pytest.mark.parametrize("file_format", ["megatron", "mds", "olmo"])
def test_the_manifest_says_what_there_is(dataset: Path, tmp_path: Path, file_format: str) -> None:
    for name in ("one", "two"):
        export_dataset(dataset, file_format, tmp_path / name)
    content = json.loads((tmp_path / "one/manifest.json").read_text())
    assert content["domains"]["news"]["tokens"] == sum(LENGTHS["news"]) + len(LENGTHS["news"])
    assert content["end_of_text"] == 0
    files = [name for entry in content["domains"].values() for name in entry["files"]]
    paths = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert sorted([*files, "manifest.json"]) == sorted(
        str(path.relative_to(tmp_path / "one")) for path in paths
    )
    for path in paths:
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes()


def test_what_is_there_already_isnt_overwritten(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(InputError, match="out: there already, and not empty"):
        export_dataset(dataset, "olmo", tmp_path / "out")


def test_a_damaged_dataset_isnt_exported(dataset: Path, tmp_path: Path) -> None:
    shard = next(dataset.glob("tokens-news-*.bin"))
    shard.write_bytes(shard.read_bytes()[:-2])
    with pytest.raises(IntegrityError, match=shard.name):
        export_dataset(dataset, "olmo", tmp_path / "out")
