import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from curricle.core.errors import InputError
from curricle.recipes.documents import Document, Drops
from curricle.recipes.sources import identity_of, read_source
from curricle.recipes.specs.sources import HuggingFaceSource


def _source(path: Path | str, split: str | None = None) -> HuggingFaceSource:
    return HuggingFaceSource(source="hugging-face", path=str(path), split=split, domain="web")


def _read(source: HuggingFaceSource) -> list[Document]:
    return list(read_source(source, 0, Drops()))


def _save(folder: Path, texts: list[str], shards: int = 2, **state: Any) -> None:
    """What `Dataset.save_to_disk` of datasets 4.4 writes."""
    folder.mkdir(parents=True)
    names = [f"data-{shard:05}-of-{shards:05}.arrow" for shard in range(shards)]
    for shard, name in enumerate(names):
        table = pa.table({"text": texts[shard::shards]})
        with pa.ipc.new_stream(str(folder / name), table.schema) as writer:
            writer.write_table(table)
    content = {"_data_files": [{"filename": name} for name in names], "_split": None, **state}
    (folder / "state.json").write_text(json.dumps(content))
    (folder / "dataset_info.json").write_text("{}")


def test_a_saved_dataset_is_read_in_the_order_of_its_state(tmp_path: Path) -> None:
    _save(tmp_path / "saved", ["one", "two", "three"])
    documents = _read(_source(tmp_path / "saved"))
    assert [(one.id, one.text) for one in documents] == [
        ("data-00000-of-00002.arrow#0", "one"),
        ("data-00000-of-00002.arrow#1", "three"),
        ("data-00001-of-00002.arrow#0", "two"),
    ]


def test_of_several_splits_one_is_chosen(tmp_path: Path) -> None:
    for split in ("train", "test"):
        _save(tmp_path / split, [f"{split} text"], shards=1)
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    assert [one.text for one in _read(_source(tmp_path, "test"))] == ["test text"]
    assert identity_of(_source(tmp_path, "test")) != identity_of(_source(tmp_path, "train"))
    for wrong in (None, "validation"):
        with pytest.raises(InputError, match=r"split .*, expected one of train, test"):
            _read(_source(tmp_path, wrong))


def test_an_only_split_neednt_be_named(tmp_path: Path) -> None:
    _save(tmp_path / "train", ["text"], shards=1)
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train"]}))
    assert [one.id for one in _read(_source(tmp_path))] == ["train/data-00000-of-00001.arrow#0"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("data-00001-of-00002.arrow", r"data-00001-of-00002\.arrow is missing"),
        ("state.json", r"state\.json: can't be read"),
    ],
)
def test_missing_parts_are_told(tmp_path: Path, damage: str, message: str) -> None:
    _save(tmp_path / "saved", ["one", "two"])
    if damage == "state.json":
        (tmp_path / "saved" / damage).write_text("{}")
    else:
        (tmp_path / "saved" / damage).unlink()
    with pytest.raises(InputError, match=message):
        _read(_source(tmp_path / "saved"))


def test_a_split_that_is_announced_must_be_there(tmp_path: Path) -> None:
    _save(tmp_path / "train", ["text"])
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    with pytest.raises(InputError, match=r"no test/state\.json"):
        _read(_source(tmp_path, "test"))


def test_an_index_over_the_rows_is_refused_rather_than_ignored(tmp_path: Path) -> None:
    _save(tmp_path / "saved", ["one"], _indices_data_files=[{"filename": "indices.arrow"}])
    with pytest.raises(InputError, match=r"fix: call flatten_indices\(\)"):
        _read(_source(tmp_path / "saved"))


class _Hub(MemoryFileSystem):  # type: ignore[misc]
    """The hub's file system as fsspec shows it, with a dataset in it."""

    protocol = "hf"
    store: dict[str, Any] = {}  # noqa: RUF012
    pseudo_dirs = [""]  # noqa: RUF012

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("hf://").strip("/")

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        found = super().info(path, **options)
        tag = {"blob_id": f"blob of {path}"} if found["type"] == "file" else {}
        return {**found, **tag}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setitem(importlib.import_module("fsspec.registry")._registry, "hf", _Hub)
    files = _Hub()
    for name, texts in (("train", ["one", "two"]), ("test", ["three"])):
        with files.open(f"/datasets/me/words/data/{name}-00000-of-00001.parquet", "wb") as stream:
            pq.write_table(pa.table({"text": texts}), stream)
    files.pipe_file("/datasets/me/words/README.md", b"# A card, and no document")
    yield "hf://datasets/me/words"
    _Hub.store.clear()


def test_a_dataset_on_the_hub_is_its_files(hub: str) -> None:
    assert [one.text for one in _read(_source(hub))] == ["three", "one", "two"]
    documents = _read(_source(hub, "train"))
    assert [(one.id, one.text) for one in documents] == [
        ("data/train-00000-of-00001.parquet#0", "one"),
        ("data/train-00000-of-00001.parquet#1", "two"),
    ]
    assert [one.text for one in _read(_source(f"{hub}/data/te*.parquet"))] == ["three"]
    (file,) = identity_of(_source(hub, "test"))["files"]
    assert file[2].startswith("blob of")
    with pytest.raises(InputError, match="no file named after split 'tra'"):
        _read(_source(hub, "tra"))


def test_a_hub_that_cant_be_reached_is_one_error() -> None:
    with pytest.raises(InputError, match="hf://datasets/me/words: .*"):
        _read(_source("hf://datasets/me/words"))
