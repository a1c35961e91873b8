"""A run's log proves what it read, and a log of another order doesn't."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.cli import commands
from curricle.core.errors import CurricleError, InputError
from curricle.core.store import Artifact, Store
from curricle.models.placement import Placement
from curricle.models.training import train
from curricle.recipes.loading import load_study
from curricle.tasks.plan import StudyPlan


@pytest.fixture
def trained(tiny_study: Path, tmp_path: Path) -> tuple[Store, Artifact]:
    """A short run, trained in this process and stored."""
    texts = "".join(json.dumps({"text": prose(seed, 60)}) + "\n" for seed in range(40))
    (tmp_path / "corpus.jsonl").write_text(texts)
    corpus = f"{{mine: {{source: files, path: {tmp_path / 'corpus.jsonl'}, domain: mine}}}}"
    plan = StudyPlan(load_study(str(tiny_study), [f"corpora={corpus}"]))
    run = plan.ranking.runs()[0]
    store = Store(str(tmp_path / "made"))
    make(store, list(run.inputs.values()))
    inputs = {role: store.folder(step.artifact) for role, step in run.inputs.items()}

    def build(folder: Path) -> dict[str, Any]:
        return train(run.training, inputs, folder, Placement())

    return store, store.produce(run.request, build)


def _checkpoint(trained: tuple[Store, Artifact]) -> str:
    store, run = trained
    return f"{store.root}/{run.key}"


def test_the_log_is_proved_and_batches_are_shown(trained: tuple[Store, Artifact]) -> None:
    printed = CliRunner().invoke(commands, ["verify-order", _checkpoint(trained)])
    assert printed.exit_code == 0, printed.output
    assert (
        "proved up to step 16 of 16: all 16 digests in the log are those of the order"
        in printed.output
    )
    assert "last batch" in printed.output
    assert re.search(
        r"drawn  without replacement; no sample read more than \d+ time", printed.output
    )
    found = CliRunner().invoke(commands, ["verify-order", _checkpoint(trained), "--json"])
    plain = json.loads(found.output)
    assert plain["first_difference"] is None
    assert plain["is_proved"]
    assert plain["drawing"] == "without replacement"
    reads = plain["samples"] / plain["distinct_samples"]
    assert plain["most_reads_of_a_sample"] == math.ceil(reads)
    assert plain["shares"] == [{"mine": 1.0}] * 4
    assert all(text.strip() for text in (*plain["first"], *plain["last"]))


def test_a_log_of_other_batches_is_found_out(trained: tuple[Store, Artifact]) -> None:
    read = _digests(trained)
    read[5]["read"] = "0123456789abcdef"
    _rewrite(trained, read)
    printed = CliRunner().invoke(commands, ["verify-order", _checkpoint(trained)])
    assert isinstance(printed.exception, CurricleError)
    assert f"differs from {read[5]['tokens']:,} tokens on; proved up to step 5 of" in printed.output


@pytest.mark.parametrize("kept", [slice(0, 1), slice(0, -1)])
def test_a_log_that_was_cut_proves_no_more_than_it_has(
    trained: tuple[Store, Artifact], kept: slice
) -> None:
    read = _digests(trained)[kept]
    _rewrite(trained, read)
    printed = CliRunner().invoke(commands, ["verify-order", _checkpoint(trained)])
    assert f"NOT proved to the end: the log has digests up to step {len(read)} of 16" in (
        printed.output
    )
    assert isinstance(printed.exception, CurricleError)


def test_a_digest_at_no_step_of_the_run_is_a_difference(trained: tuple[Store, Artifact]) -> None:
    read = _digests(trained)
    read.append({**read[-1], "tokens": 2 * read[-1]["tokens"]})
    _rewrite(trained, read)
    printed = CliRunner().invoke(commands, ["verify-order", _checkpoint(trained)])
    assert f"differs from {read[-1]['tokens']:,} tokens on" in printed.output
    assert isinstance(printed.exception, CurricleError)


def _digests(trained: tuple[Store, Artifact]) -> list[dict[str, Any]]:
    """The lines of the log that have one."""
    store, run = trained
    text = (store.folder(run) / "metrics.jsonl").read_text()
    return [line for line in map(json.loads, text.splitlines()) if "read" in line]


def _rewrite(trained: tuple[Store, Artifact], lines: list[dict[str, Any]]) -> None:
    """Make these lines the run's log."""
    store, run = trained
    path = store.folder(run) / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    record = path.with_name("record.json")
    content = json.loads(record.read_text())
    content["files"]["metrics.jsonl"]["bytes"] = path.stat().st_size
    record.write_text(json.dumps(content))


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    printed = CliRunner().invoke(commands, ["verify-order", str(tmp_path / "x")])
    assert isinstance(printed.exception, InputError)
