"""From a model to a recipe: documents scored by `curricle evaluate`, then filtered by a study."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.models.model_zoo import SPECS, TEXT, lively_model, save_checkpoint, save_tokenizer
from tests.tasks.making import make

from curricle.cli import main
from curricle.core.store import Store
from curricle.models.huggingface import export_model
from curricle.recipes.loading import load_study
from curricle.tasks.dropped import dropped_of
from curricle.tasks.plan import StudyPlan

CORPUS = "corpora={texts: {source: files, path: texts-*.jsonl, id_column: id, domain: web}}"
FLUENT = "{step: perplexity, scores: scored.parquet, maximum_perplexity: %s}"
BY = "{scores: scored.parquet, column: perplexity}"
MIDDLE = f"{{step: bucket, by: {BY}, lower: 0.25, upper: 0.75}}"


def test_documents_are_kept_by_their_perplexity_under_a_model(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint = save_checkpoint(tmp_path / "checkpoint", lively_model(SPECS["gpt2"]))
    export_model(checkpoint, save_tokenizer(tmp_path / "words"), tmp_path / "model")
    paragraphs = [part for part in TEXT.split("\n\n") if len(part) > 150]
    for number, part in enumerate(paragraphs):
        line = json.dumps({"id": f"p{number}", "text": part}) + "\n"
        (tmp_path / f"texts-{number % 2}.jsonl").open("a").write(line)

    arguments = ["--model", "model", "--data", "texts-*.jsonl", "--output", "scored.json"]
    with pytest.raises(SystemExit, match="0"):
        main(["evaluate", "perplexity", *arguments])
    rows = pq.read_table("scored.parquet").to_pylist()
    measured = {row["document"]: np.exp(row["nats"] / row["tokens"]) for row in rows}
    assert measured.keys() == {f"p{number}" for number in range(len(paragraphs))}

    limit = float(np.median(list(measured.values())))
    steps = {"fluent": FLUENT % limit, "middle": MIDDLE}
    overrides = [f"recipes.{name}={{steps: [{step}]}}" for name, step in steps.items()]
    plan = StudyPlan(load_study(str(tiny_study), [CORPUS, *overrides]))
    store, documents = Store("store"), {}
    datasets = plan.preparation.datasets
    make(store, [datasets[name].documents for name in ("untouched", *steps)])
    for name in ("untouched", *steps):
        step = datasets[name].documents
        file = "train.parquet" if name == "untouched" else "documents.parquet"
        documents[name] = set(pq.read_table(store.folder(step.artifact) / file)["id"].to_pylist())

    assert documents["fluent"] == {one for one in documents["untouched"] if measured[one] <= limit}
    ranked = sorted(documents["untouched"], key=lambda one: (measured[one], one))
    quarters = [round(share * len(ranked)) for share in (0.25, 0.75)]
    assert documents["middle"] == set(ranked[slice(*quarters)])
    (dropped,) = dropped_of(plan, store, "fluent", None, count=0)
    assert list(dropped.dropped) == ["maximum-perplexity"]
    for example in dropped.examples:
        assert example["value"] == pytest.approx(measured[example["id"]])
        assert example["threshold"] == limit
