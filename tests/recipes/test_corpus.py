import json
from pathlib import Path

import pytest
from tests.recipes.conftest import Install
from tests.recipes.made_up import jaccard, package, prose

from curricle.core.errors import InputError
from curricle.recipes.corpus import build_corpus, corpus_identity
from curricle.recipes.documents import normalized, read_documents
from curricle.recipes.specs.sources import FilesSource, PythonEnvironmentSource, Source

FRACTION = 0.2


def _files(folder: Path, texts: list[str], domain: str = "web") -> FilesSource:
    folder.mkdir(exist_ok=True)
    lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (folder / "a.jsonl").write_text(lines)
    return FilesSource(source="files", path=str(folder), domain=domain)


def _build(corpora: dict[str, Source], folder: Path, seed: int = 0) -> dict[str, object]:
    folder.mkdir()
    return build_corpus(corpora, FRACTION, seed, folder)


def _near_copy(text: str) -> str:
    return text.replace("horse", "mule").replace("road", "street", 1)


@pytest.fixture
def texts() -> list[str]:
    """Forty texts, each with an exact copy (but for white space) and a near copy."""
    originals = [prose(seed, 150) for seed in range(40)]
    return [*originals, *(one + "\n" for one in originals), *map(_near_copy, originals)]


def test_no_held_out_text_nor_a_copy_of_one_trains(tmp_path: Path, texts: list[str]) -> None:
    facts = _build({"c": _files(tmp_path / "in", texts)}, tmp_path / "out")
    train = read_documents(tmp_path / "out/train.parquet")["text"].to_pylist()
    validation = read_documents(tmp_path / "out/validation.parquet")["text"].to_pylist()
    assert not set(map(normalized, train)) & set(map(normalized, validation))
    assert max(jaccard(one, other) for one in train for other in validation) < 0.7
    assert train
    assert isinstance(facts["dropped"], dict)
    assert facts["dropped"]["copy-of-validation"]["web"] > 0


def test_wordless_copies_are_found_as_well(tmp_path: Path) -> None:
    texts = [*(prose(seed) for seed in range(30)), *("+-" * number for number in range(20, 40))]
    copies = [f" {text}" for text in texts]
    _build({"c": _files(tmp_path / "in", texts + copies)}, tmp_path / "out")
    train = read_documents(tmp_path / "out/train.parquet")["text"].to_pylist()
    validation = read_documents(tmp_path / "out/validation.parquet")["text"].to_pylist()
    assert any("+-" in text for text in validation)
    assert not set(map(str.strip, train)) & set(map(str.strip, validation))


def test_kept_and_dropped_are_all_that_was_seen(tmp_path: Path, texts: list[str]) -> None:
    facts = _build({"c": _files(tmp_path / "in", [*texts, "", "a\0b"])}, tmp_path / "out")
    tables = {
        split: read_documents(tmp_path / f"out/{split}.parquet")
        for split in ("train", "validation")
    }
    kept = sum(table.num_rows for table in tables.values())
    dropped = facts["dropped"]
    assert isinstance(dropped, dict)
    assert facts["seen"] == len(texts) + 2
    assert facts["kept"] == kept
    assert kept + sum(sum(one.values()) for one in dropped.values()) == facts["seen"]
    assert dropped["empty-text"] == dropped["nul-byte"] == {"web": 1}
    assert facts["splits"] == {
        split: {
            "web": {
                "documents": table.num_rows,
                "bytes": sum(len(text.encode()) for text in table["text"].to_pylist()),
            }
        }
        for split, table in tables.items()
    }
    assert json.loads((tmp_path / "out/manifest.json").read_text()) == facts


def test_the_same_sources_give_the_same_bytes_in_any_order(
    tmp_path: Path, install: Install
) -> None:
    for seed in range(4):
        install(f"pack{seed}", package(seed, modules=8))
    corpora: dict[str, Source] = {
        "environment": PythonEnvironmentSource(source="python-environment"),
        "web": _files(tmp_path / "in", [prose(seed) for seed in range(900, 950)]),
    }
    _build(corpora, tmp_path / "one")
    _build(dict(reversed(corpora.items())), tmp_path / "two")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["manifest.json", "summaries.parquet", "train.parquet", "validation.parquet"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    table = read_documents(tmp_path / "one/train.parquet")
    keys = list(zip(table["domain"].to_pylist(), table["id"].to_pylist(), strict=True))
    assert keys == sorted(keys)
    assert {domain for domain, _ in keys} == {
        *("docstrings", "headers", "javascript", "licences", "prose", "python", "web")
    }


def test_docstrings_are_held_out_with_their_file(tmp_path: Path, install: Install) -> None:
    for seed in range(4):
        install(f"pack{seed}", package(seed, modules=8))
    environment = PythonEnvironmentSource(source="python-environment")
    _build({"environment": environment}, tmp_path / "out")
    files = {}
    for split in ("train", "validation"):
        sources = read_documents(tmp_path / f"out/{split}.parquet")["source"].to_pylist()
        files[split] = {source.partition("::")[0] for source in sources}
    assert not files["train"] & files["validation"]


def test_identity_ignores_names_and_order_of_corpora(tmp_path: Path) -> None:
    one, two = (_files(tmp_path / name, [name]) for name in ("one", "two"))
    assert corpus_identity({"a": one, "b": two}) == corpus_identity({"y": two, "x": one})
    assert corpus_identity({"a": one}) != corpus_identity({"a": two})


def test_a_corpus_that_isnt_there_is_named_with_the_key_to_set(tmp_path: Path) -> None:
    absent = _files(tmp_path / "one", ["x"]).model_copy(update={"path": str(tmp_path / "no")})
    with pytest.raises(InputError, match=r"corpora\.mine: .*no: does not .*corpora\.mine\.path=…"):
        corpus_identity({"mine": absent})


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], r"corpora c hold no usable document \(0 dropped: none seen\), expected at least two"),
        (["", "a\0b"], r"no usable document \(2 dropped: empty-text, nul-byte\)"),
        (["One short document."], r"corpus too small: the 1 document\(s\) of domain 'web'"),
        (
            ["The same text."] * 5,
            r"corpus too small: the 5 document\(s\) of domain 'web' come from 1",
        ),
        (
            [f"{prose(1, 200)} {ending}" for ending in "abcdefgh"],
            r"all training documents of domain 'web' are copies of held-out ones",
        ),
    ],
)
def test_corpora_that_are_too_small_are_refused(
    tmp_path: Path, texts: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        _build({"c": _files(tmp_path / "in", texts)}, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out/manifest.json").exists()


def test_an_id_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    corpora: dict[str, Source] = {
        name: _files(tmp_path / name, [prose(seed) for seed in range(20)]) for name in ("b", "a")
    }
    with pytest.raises(InputError, match=r"id 'a\.jsonl#0' occurs twice: .* of corpus 'a'.* 'b'"):
        _build(corpora, tmp_path / "out")


def test_an_id_that_occurs_twice_is_placed_by_file_and_row(tmp_path: Path) -> None:
    names = [*map(str, range(20)), "3"]
    path = tmp_path / "a.jsonl"
    rows = ({"id": name, "url": "https://a", "text": prose(n)} for n, name in enumerate(names))
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    source = FilesSource(
        source="files", path=str(path), id_column="id", source_column="url", domain="web"
    )
    with pytest.raises(
        InputError, match=r"id '3' occurs twice: a\.jsonl#3 of .* and a\.jsonl#20 of corpus 'c'"
    ):
        _build({"c": source}, tmp_path / "out")


@pytest.mark.parametrize("count", [40_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_many_tiny_documents_are_all_accounted_for(tmp_path: Path, count: int) -> None:
    letters = [chr(0x4E00 + number % 20_000) for number in range(count)]
    facts = _build({"c": _files(tmp_path / "in", letters)}, tmp_path / "out")
    assert facts["seen"] == facts["kept"] == len(letters)


def test_a_corpus_larger_than_a_run_is_the_same_corpus(
    tmp_path: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source: dict[str, Source] = {"c": _files(tmp_path / "in", texts)}
    _build(source, tmp_path / "one")
    monkeypatch.setattr("curricle.recipes.spool.RUN_BYTES", 5_000)
    monkeypatch.setattr("curricle.recipes.corpus.PORTION_BYTES", 5_000)
    _build(source, tmp_path / "two")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
