"""Whoever changes what a step makes, or how it is identified, raises its version."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tasks.making import make
from tests.tasks.meanings import RECORDED, complaints, meaning_of, measure, samples, study_in

from curricle.core.store import Store
from curricle.tasks import order
from curricle.tasks.order import RandomOrderStep
from curricle.tasks.step import with_inputs

Recorded = dict[str, dict[str, Any]]


@pytest.fixture
def recorded() -> Recorded:
    return dict(json.loads(RECORDED.read_text()))


def test_every_step_makes_what_is_recorded_of_its_version(
    recorded: Recorded, tmp_path: Path
) -> None:
    assert list(complaints(measure(tmp_path), recorded)) == []


def complaint(recorded: Recorded, folder: Path) -> str:
    """What is said of random orders as the code makes them now."""
    store, name = Store(str(folder / "store")), RandomOrderStep.__name__
    steps = with_inputs(samples(study_in(folder)))
    step = next(step for step in steps if type(step) is RandomOrderStep)
    make(store, [step])
    return " ".join(complaints({name: meaning_of(step, store)}, {name: recorded[name]}))


def test_who_makes_something_else_is_told_to_raise_the_version(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "random_order", lambda pool, count, _: np.resize(pool, count))
    assert "makes something else than version 1 did" in complaint(recorded, tmp_path)
    monkeypatch.setattr(RandomOrderStep, "version", 2)
    assert "another version" in complaint(recorded, tmp_path)


def test_who_adds_a_setting_is_told_to_raise_the_version(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complaint(recorded, tmp_path) == ""
    spec: Any = RandomOrderStep.spec
    monkeypatch.setattr(RandomOrderStep, "spec", property(lambda step: {**spec.fget(step), "x": 1}))
    assert "would have it anew untold" in complaint(recorded, tmp_path)
