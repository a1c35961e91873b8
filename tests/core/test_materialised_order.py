import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from curricle.core import materialised_order
from curricle.core.errors import InputError, IntegrityError
from curricle.core.materialised_order import MaterialisedReading, materialise
from curricle.core.order_file import write_order
from curricle.core.reading import DatasetReading
from curricle.core.token_dataset import DatasetWriter, TokenDataset, TokenizedDocument

LENGTH = 7
FILE_SAMPLES = 5


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materialised_order, "FILE_BYTES", FILE_SAMPLES * (LENGTH + 1) * 2)


def write_dataset(folder: Path, tokens: int, vocabulary_size: int = 300) -> None:
    folder.mkdir()
    draw = np.random.default_rng(0)
    writer = DatasetWriter(folder, vocabulary_size=vocabulary_size, end_of_text=0)
    for domain in ("a", "b"):
        content = draw.integers(1, vocabulary_size, tokens)
        writer.write_domain(domain, [TokenizedDocument(domain, "made up", 0, content)])
    writer.finish()


@pytest.fixture
def written(tmp_path: Path, small_files: None) -> Path:
    """Below it a `dataset`, an `order` of 23 samples with repeats, and the two `materialised`."""
    write_dataset(tmp_path / "dataset", 100)
    dataset = TokenDataset(tmp_path / "dataset", LENGTH)
    order = np.random.default_rng(1).integers(len(dataset), size=23)
    for name in ("order", "materialised"):
        (tmp_path / name).mkdir()
    write_order(tmp_path / "order", order)
    found = materialise(dataset, tmp_path / "order", tmp_path / "materialised")
    assert found == {"files": 5, "bytes": 23 * (LENGTH + 1) * 2}
    return tmp_path


def readings(folder: Path) -> tuple[DatasetReading, MaterialisedReading]:
    return (
        DatasetReading(folder / "dataset", folder / "order", LENGTH),
        MaterialisedReading(str(folder / "materialised"), folder / "order", LENGTH),
    )


@pytest.mark.parametrize("size", [1, 4, 9, 23])
@pytest.mark.parametrize("start", [0, 11])
def test_a_run_reads_the_same_from_either(written: Path, start: int, size: int) -> None:
    looked_up, streamed = readings(written)
    np.testing.assert_array_equal(streamed.order, looked_up.order)
    assert streamed.dataset == looked_up.dataset
    for first in range(start, 23, size):
        places = np.arange(first, min(first + size, 23))
        np.testing.assert_array_equal(streamed.read(places), looked_up.read(places))


def test_files_are_read_once_in_turn_one_ahead(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, streamed = readings(written)
    asked: list[int] = []
    fetch = MaterialisedReading._fetch

    def noted(self: MaterialisedReading, number: int) -> object:
        asked.append(number)
        return fetch(self, number)

    monkeypatch.setattr(MaterialisedReading, "_fetch", noted)
    for first in range(7, 23, 4):  # goes on in the second of five files
        streamed.read(np.arange(first, min(first + 4, 23)))
        assert len(streamed._coming) <= 3
    assert asked == [1, 2, 3, 4]


@pytest.mark.parametrize("vocabulary_size", [65_535, 65_536])
def test_tokens_keep_the_datasets_type(tmp_path: Path, vocabulary_size: int) -> None:
    write_dataset(tmp_path / "dataset", 100, vocabulary_size)
    for name in ("order", "materialised"):
        (tmp_path / name).mkdir()
    write_order(tmp_path / "order", np.arange(20)[::-1])
    dataset = TokenDataset(tmp_path / "dataset", LENGTH)
    materialise(dataset, tmp_path / "order", tmp_path / "materialised")
    width = 2 if vocabulary_size == 65_535 else 4
    assert (tmp_path / "materialised" / "samples-00000.bin").stat().st_size == 20 * 8 * width
    looked_up, streamed = readings(tmp_path)
    places = np.arange(20)
    np.testing.assert_array_equal(streamed.read(places), looked_up.read(places))


def test_it_is_written_out_of_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(materialised_order, "FILE_BYTES", 1 << 18)
    write_dataset(tmp_path / "dataset", 2_000_000)
    for name in ("order", "materialised"):
        (tmp_path / name).mkdir()
    dataset = TokenDataset(tmp_path / "dataset", 63)
    write_order(tmp_path / "order", np.random.default_rng(0).permutation(len(dataset)))
    tracemalloc.start()
    found = materialise(dataset, tmp_path / "order", tmp_path / "materialised")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["bytes"] > 8_000_000
    assert peak < 2_000_000


def test_the_samples_of_another_order_are_refused(written: Path) -> None:
    write_order(written / "order", np.arange(23))
    with pytest.raises(IntegrityError, match="not the samples of the order"):
        readings(written)


def test_a_file_cut_short_is_named(written: Path) -> None:
    path = written / "materialised" / "samples-00001.bin"
    path.write_bytes(path.read_bytes()[:-1])
    _, streamed = readings(written)
    streamed.read(np.arange(4))
    with pytest.raises(IntegrityError, match="samples-00001.bin: 79 bytes where 80"):
        streamed.read(np.arange(4, 8))


def test_a_place_that_cannot_be_read_is_named(written: Path) -> None:
    with pytest.raises(InputError, match="nowhere: .*fix: "):
        MaterialisedReading(str(written / "nowhere"), written / "order", LENGTH)
