"""What each kind of step makes of one small study: `python -m tests.tasks.meanings` writes it down.

`meanings.json` has, for each class of step and its version, a digest of its settings and what its
artifact holds: numbers, and digests of whole numbers where no training had a part in them, whose
last bits differ between processors.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.conftest import TINY_STUDY
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.core.plain import fingerprint
from curricle.core.store import Store
from curricle.recipes.loading import load_study
from curricle.recipes.specs.measurements import Statistics
from curricle.recipes.text_statistics import STATISTICS
from curricle.tasks.documents import MeasurementStep
from curricle.tasks.plan import StudyPlan
from curricle.tasks.step import Step, with_inputs
from curricle.tasks.train import TrainingStep

RECORDED = Path(__file__).with_name("meanings.json")
CURRICULA = (
    "{pool: {score: unigram-entropy}, aged: {rescore_at: 0.5}, "
    "rho: {pacing: rho-loss, oversampling: 2}}"
)
SETTINGS = (
    f"curricula={CURRICULA}",
    "target={num_layers: 1, width: 16, num_heads: 1, tokens: 1024, learning_rate: 1e-2}",
    "proxy={num_layers: 1, width: 16, num_heads: 1, tokens: 1024, learning_rates: [1e-2]}",
    "scoring={tokens: 2560, learning_rate: 1e-2, compare: [moore-lewis, mtld]}",
    "evaluation={tokens_per_domain: 64, multiple_choice: null, sharpness: null}",
)

Meaning = dict[str, Any]


def study_in(folder: Path) -> StudyPlan:
    """The study, over a corpus that is the same everywhere."""
    (folder / "tiny.yaml").write_text(TINY_STUDY)
    texts = "".join(json.dumps({"text": prose(seed, 150)}) + "\n" for seed in range(40))
    (folder / "corpus.jsonl").write_text(texts)
    corpora = f"corpora={{mine: {{source: files, path: {folder / 'corpus.jsonl'}, domain: mine}}}}"
    return StudyPlan(load_study(str(folder / "tiny.yaml"), [corpora, *SETTINGS]))


def samples(plan: StudyPlan) -> list[Step]:
    """One step of each class that the study has, with its inputs."""
    curricula = plan.curricula
    first = [run for run in curricula.target_runs("untouched") if run.training.seed == 0]
    scores = [curricula.scoring.step("untouched", name, 0) for name in curricula.scoring.wanted]
    untouched = plan.preparation.datasets["untouched"].documents
    statistics = MeasurementStep(Statistics(names=tuple(STATISTICS)), untouched)
    sorted_run = next(run for run in plan.ranking.runs() if run.recipe == "low-entropy-first")
    return [
        *(*plan.preparation.datasets.values(), *scores, *first, sorted_run.order, statistics),
        *(*plan.ranking.steps().values(), *plan.evaluation.steps(first[:1])),
    ]


def measure(folder: Path) -> dict[str, Meaning]:
    """The meaning of each class of step, by its name."""
    plan, store = study_in(folder), Store(str(folder / "store"))
    steps = samples(plan)
    make(store, steps)
    found: dict[str, Meaning] = {}
    for step in with_inputs(steps):
        found.setdefault(type(step).__name__, meaning_of(step, store))
    return found


def meaning_of(step: Step, store: Store) -> Meaning:
    """Version, digest of the settings, and content."""
    content: dict[str, Any] = dict(_numbers("facts", store.facts(step.artifact)))
    folder = store.folder(step.artifact)
    learned = any(isinstance(item, TrainingStep) for item in with_inputs([step]))
    for path in sorted(folder.glob("*")):
        content.update(_content(path, learned))
    return {"version": step.version, "settings": fingerprint(step.spec), "content": content}


def _content(path: Path, learned: bool) -> Iterator[tuple[str, Any]]:
    """What is compared of a file."""
    if path.suffix == ".npy":
        array = np.load(path, allow_pickle=False)
        if learned or array.dtype.kind == "f":
            yield path.name, float(np.mean(array))
        else:
            yield path.name, hashlib.sha256(array.tobytes()).hexdigest()[:16]
    elif path.suffix == ".bin":
        yield path.name, hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    elif path.suffix == ".parquet":
        means = pq.read_table(path).to_pandas().mean(numeric_only=True).dropna()
        yield from _numbers(path.name, means.to_dict())
    elif path.name == "ranking.json":
        yield from _numbers(path.name, json.loads(path.read_text()))


def _numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """The numbers in a tree of facts, but for times."""
    if isinstance(value, Mapping | list):
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, item in pairs:
            yield from _numbers(f"{name}/{key}", item)
    elif isinstance(value, int | float) and "seconds" not in name:
        yield name, value


def complaints(found: Mapping[str, Meaning], recorded: Mapping[str, Meaning]) -> Iterator[str]:
    """What has to be done about each class that doesn't make what is recorded."""
    write = "python -m tests.tasks.meanings"
    for name in sorted(found.keys() | recorded.keys()):
        ours, theirs = found.get(name), recorded.get(name)
        if ours is None or theirs is None or ours["version"] != theirs["version"]:
            yield f"{name}: another version, new or gone: {write}"
        elif ours["settings"] != theirs["settings"]:
            yield f"{name}: stores would have it anew untold; keep its spec, or raise its version"
        elif not _alike(ours["content"], theirs["content"]):
            yield f"{name}: makes something else than version {ours['version']} did; raise it"


def _alike(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether texts are the same and numbers nearly so."""
    if ours.keys() != theirs.keys():
        return False
    return all(
        value == theirs[key]
        if isinstance(value, str)
        else value == pytest.approx(theirs[key], rel=1e-3, abs=1e-6)
        for key, value in ours.items()
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        RECORDED.write_text(json.dumps(measure(Path(place)), indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{RECORDED}\n")
