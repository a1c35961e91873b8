"""Sources and store on a real S3 server."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.core.errors import InputError
from curricle.core.store import Request, Store
from curricle.recipes.corpus import build_corpus, corpus_identity
from curricle.recipes.loading import load_study
from curricle.recipes.specs.sources import FilesSource
from curricle.tasks.plan import StudyPlan

TEXTS = [prose(seed, 100) for seed in range(300)]


@pytest.fixture
def files(s3: str) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)


@pytest.fixture
def corpus(s3: str, files: s3fs.S3FileSystem) -> FilesSource:
    """A corpus of two formats below `s3://real/corpus`."""
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS[:150]).encode()
    files.pipe_file("real/corpus/a.jsonl.zst", pa.compress(lines, "zstd", asbytes=True))
    with files.open("real/corpus/deep/b.parquet", "wb") as stream:
        pq.write_table(pa.table({"text": TEXTS[150:]}), stream, row_group_size=40)
    return FilesSource(source="files", path=f"{s3}/corpus", domain="web")


def test_a_corpus_from_s3_is_stored_on_s3_like_a_local_one(
    s3: str,
    corpus: FilesSource,
    files: s3fs.S3FileSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CURRICLE_CACHE", str(tmp_path / "cache"))
    store = Store(f"{s3}/store")
    request = Request("corpus", "web", {"content": corpus_identity({"web": corpus})})
    artifact = store.produce(request, lambda folder: build_corpus({"web": corpus}, 0.1, 0, folder))
    assert store.exists(artifact)
    assert store.verify(artifact) == []
    assert list(store.artifacts()) == [artifact]
    assert store.facts(artifact)["seen"] == len(TEXTS)

    files.get("real/corpus", str(tmp_path / "local"), recursive=True)
    here = corpus.model_copy(update={"path": str(tmp_path / "local")})
    (tmp_path / "out").mkdir()
    build_corpus({"web": here}, 0.1, 0, tmp_path / "out")
    there = store.folder(artifact)
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (there / path.name).read_bytes()


RECIPES = {
    "untouched": {},
    "cleaned": {
        "steps": [
            {"step": "duplicate-documents"},
            {"step": "minhash-dedup"},
            {"step": "line-dedup"},
        ]
    },
    "mixed": {"mix": {"tokens": 2_000}},
}


def test_recipes_are_prepared_from_s3_and_on_s3_as_they_are_locally(
    s3: str,
    corpus: FilesSource,
    files: s3fs.S3FileSystem,
    tiny_study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CURRICLE_CACHE", str(tmp_path / "cache"))
    files.get("real/corpus", str(tmp_path / "local"), recursive=True)
    made = {}
    for path, root in ((corpus.path, f"{s3}/study"), (tmp_path / "local", tmp_path / "store")):
        texts = f"{{source: files, path: '{path}', domain: web}}"
        overrides = [f"corpora={{texts: {texts}}}", f"recipes={RECIPES}", "target.confirm=2"]
        plan, store = StudyPlan(load_study(str(tiny_study), overrides)), Store(str(root))
        make(store, [plan.preparation.validation, *plan.preparation.datasets.values()])
        made[str(root)] = {
            name: [store.record(step.artifact)["files"], store.verify(step.artifact)]
            for name, step in plan.preparation.datasets.items()
        }
    there, here = made.values()
    assert there == here
    assert [problems for _, problems in there.values()] == [[], [], []]


def test_a_large_file_goes_up_in_parts_and_comes_back_whole(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURRICLE_CACHE", str(tmp_path / "cache"))
    content = bytes(range(256)) * (60 << 12)
    store = Store(f"{s3}/large")

    def build(folder: Path) -> None:
        (folder / "data").write_bytes(content)

    artifact = store.produce(Request("dataset", "large", {}), build)
    assert store.verify(artifact) == []
    assert (store.folder(artifact) / "data").read_bytes() == content


def test_a_build_that_fails_leaves_no_artifact(s3: str) -> None:
    store = Store(f"{s3}/broken")

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise InputError("nothing", expected="something", fix="none")

    with pytest.raises(InputError, match="nothing"):
        store.produce(Request("order", "x", {}), fail)
    assert list(store.artifacts()) == []


def test_a_wrong_key_is_one_error(corpus: FilesSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match="credentials in the environment"):
        corpus_identity({"web": corpus})
    with pytest.raises(InputError, match="store s3://real/store: "):
        Store("s3://real/store").exists(Request("order", "x", {}).artifact)
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_target_streams_its_order_to_a_machine_without_the_dataset(
    s3: str,
    corpus: FilesSource,
    tiny_study: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = f"{{source: files, path: '{corpus.path}', domain: web}}"
    overrides = [f"corpora={{texts: {texts}}}", "preparation.materialise_orders=true"]
    plan = StudyPlan(load_study(str(tiny_study), overrides))
    run = plan.curricula.target_runs("untouched")[0]
    weights = []
    for root, machine in ((f"{s3}/streamed", "there"), (str(tmp_path / "local"), "here")):
        store = Store(root)
        monkeypatch.setenv("CURRICLE_CACHE", str(tmp_path / "prepares"))
        make(Store(root), [*run.inputs.values(), *run.aids])
        monkeypatch.setenv("CURRICLE_CACHE", str(tmp_path / machine))
        store = Store(root)
        make(store, [run])
        weights.append((store.folder(run.artifact) / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
    fetched = {path.parent.parent.parent.name for path in (tmp_path / "there").rglob("record.json")}
    assert fetched == {"order", "dataset", "checkpoint"}  # of datasets only the held-out one
    assert not list((tmp_path / "there").rglob(f"{run.order.random.dataset.artifact.fingerprint}"))
