"""A run that streams a materialised order ends with the bits of one that looks its samples up."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.models.test_resume import LostPowerError, dies_at, outcome

from curricle.core import materialised_order
from curricle.core.jobs import SelectionSpec, TrainingSpec
from curricle.core.materialised_order import materialise
from curricle.core.order_file import write_order
from curricle.core.token_dataset import TokenDataset
from curricle.models.placement import Placement
from curricle.models.training import train
from curricle.models.training_inputs import open_inputs

__all__ = ["dies_at"]

SPECS: dict[str, dict[str, object]] = {
    "plain": {},
    "accumulation": {"micro_batch_size": 2},
    "chosen while training": {
        "selection": SelectionSpec(policy="entropy-v", oversampling=3),
        "steps": 6,
        "checkpoints_at": (),
    },
}


@pytest.fixture
def streamed(
    inputs: dict[str, Path],
    training_spec: TrainingSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[TrainingSpec], str]:
    """Materialises an order for a spec, in files of seven samples."""

    def make(spec: TrainingSpec) -> str:
        samples = spec.steps * spec.candidates_per_step
        write_order(inputs["order"], np.random.default_rng(5).integers(80, size=samples))
        monkeypatch.setattr(materialised_order, "FILE_BYTES", 7 * 13 * 2)
        folder = tmp_path / "materialised"
        folder.mkdir()
        materialise(TokenDataset(inputs["dataset"], 12), inputs["order"], folder)
        return str(folder)

    return make


@pytest.mark.parametrize("name", SPECS)
def test_it_trains_to_the_same_bits_and_goes_on_there(
    name: str,
    variant: Callable[..., TrainingSpec],
    streamed: Callable[[TrainingSpec], str],
    inputs: dict[str, Path],
    tmp_path: Path,
    dies_at: Callable[[int], None],
) -> None:
    spec = variant(**SPECS[name])
    address = streamed(spec)
    (tmp_path / "expected").mkdir()
    train(spec, inputs, tmp_path / "expected", Placement())
    without = {role: path for role, path in inputs.items() if role != "dataset"}
    unfinished = str(tmp_path / "unfinished")
    place = Placement(unfinished=unfinished, snapshot_seconds=0.0, materialised=address)
    for fatal in (3, 5):
        dies_at(fatal)
        (tmp_path / f"until{fatal}").mkdir()
        with pytest.raises(LostPowerError):
            train(spec, without, tmp_path / f"until{fatal}", place)
    dies_at(-1)
    (tmp_path / "found").mkdir()
    train(spec, without, tmp_path / "found", place)
    assert outcome(tmp_path / "found") == outcome(tmp_path / "expected")


def test_a_run_begun_on_its_dataset_goes_on_with_a_stream(
    training_spec: TrainingSpec,
    streamed: Callable[[TrainingSpec], str],
    inputs: dict[str, Path],
    tmp_path: Path,
    dies_at: Callable[[int], None],
) -> None:
    place = Placement(unfinished=str(tmp_path / "unfinished"), snapshot_seconds=0.0)
    there = replace(place, materialised=streamed(training_spec))
    for name in ("expected", "begun", "found"):
        (tmp_path / name).mkdir()
    train(training_spec, inputs, tmp_path / "expected", Placement())
    dies_at(9)
    with pytest.raises(LostPowerError):
        train(training_spec, inputs, tmp_path / "begun", place)
    dies_at(-1)
    train(training_spec, inputs, tmp_path / "found", there)
    assert outcome(tmp_path / "found") == outcome(tmp_path / "expected")


@pytest.mark.parametrize("ranks", [1, 2])
def test_devices_share_a_stream_as_they_share_a_dataset(
    ranks: int,
    training_spec: TrainingSpec,
    streamed: Callable[[TrainingSpec], str],
    inputs: dict[str, Path],
) -> None:
    address = streamed(training_spec)
    both = [
        open_inputs(training_spec, inputs, Placement(materialised=place))
        for place in (None, address)
    ]
    for step in range(training_spec.steps):
        for rank in range(ranks):
            looked_up, found = (
                data.micro_batches(training_spec, step, rank, ranks) for data in both
            )
            assert torch.equal(looked_up, found)
