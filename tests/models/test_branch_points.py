"""A branch is the run that it would be from the beginning."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models.test_resume import LostPowerError, dies_at

from curricle.core.errors import InputError, IntegrityError
from curricle.core.jobs import AveragingSpec, TrainingSpec
from curricle.core.order_file import read_order, write_order
from curricle.models.branch_points import branch_point_name
from curricle.models.placement import Placement
from curricle.models.training import train

__all__ = ["dies_at"]

START = 576


def folder(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir()
    return path


@pytest.fixture
def whole(training_spec: TrainingSpec) -> TrainingSpec:
    """Twelve steps at the peak rate, three of decay."""
    optimizer = replace(
        training_spec.optimizer, schedule="wsd", decay_fraction=0.2, warmup_fraction=2 / 15
    )
    return replace(training_spec, optimizer=optimizer, steps=15, checkpoints_at=())


@pytest.fixture
def trunk(whole: TrainingSpec) -> TrainingSpec:
    """Twenty steps at the peak rate, of which the state after twelve is kept."""
    optimizer = replace(whole.optimizer, schedule="constant", warmup_fraction=2 / 20)
    return replace(whole, optimizer=optimizer, steps=20, states_at=(START,))


@pytest.fixture
def short(inputs: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The same inputs with the first fifteen batches of the order."""
    path = folder(tmp_path, "short")
    write_order(path, read_order(inputs["order"], 10_000)[: 15 * 4])
    return {**inputs, "order": path}


Run = Callable[..., dict[str, Any]]


def test_a_branch_ends_with_the_bits_of_the_whole_run(
    whole: TrainingSpec,
    trunk: TrainingSpec,
    inputs: dict[str, Path],
    short: dict[str, Path],
    tmp_path: Path,
) -> None:
    outputs = {name: folder(tmp_path, name) for name in ("whole", "trunk", "branch")}
    facts = train(whole, short, outputs["whole"], Placement())
    train(trunk, inputs, outputs["trunk"], Placement())
    branch = replace(whole, start_at=START)
    again = train(branch, {**short, "start": outputs["trunk"]}, outputs["branch"], Placement())
    for name in ("model.safetensors", "validation.parquet"):
        expected = (outputs["whole"] / name).read_bytes()
        assert (outputs["branch"] / name).read_bytes() == expected, name
    assert again["validation"] == facts["validation"]
    assert again["first_loss"] == facts["first_loss"]
    assert again["tokens"] == facts["tokens"] == 720
    assert again["training_flops"] == facts["training_flops"] * (720 - START) / 720
    trunk_weights = (outputs["trunk"] / "model.safetensors").read_bytes()
    assert (outputs["branch"] / "model.safetensors").read_bytes() != trunk_weights


def test_trunk_and_branch_go_on_after_a_power_cut_to_the_same_bits(
    whole: TrainingSpec,
    trunk: TrainingSpec,
    inputs: dict[str, Path],
    short: dict[str, Path],
    tmp_path: Path,
    dies_at: Callable[[int], None],
) -> None:
    branch = replace(whole, start_at=START)
    results = []
    for attempt in ("undisturbed", "killed"):
        trunk_output, output = (
            folder(tmp_path, f"{attempt}-{part}") for part in ("trunk", "branch")
        )
        runs = (
            (trunk, inputs, trunk_output, 14),
            (branch, {**short, "start": trunk_output}, output, 13),
        )
        for spec, given, target, fatal in runs:
            unfinished = str(tmp_path / f"unfinished-{target.name}")
            placement = Placement(unfinished=unfinished, snapshot_seconds=0.0)
            if attempt == "killed":
                dies_at(fatal)
                with pytest.raises(LostPowerError):
                    train(spec, given, folder(tmp_path, f"lost-{target.name}"), placement)
                dies_at(-1)
            train(spec, given, target, placement)
        results.append((output / "model.safetensors").read_bytes())
    assert results[0] == results[1]


def test_a_state_that_was_not_kept_or_is_damaged_is_refused(
    whole: TrainingSpec, short: dict[str, Path], tmp_path: Path
) -> None:
    branch = replace(whole, start_at=START)
    start, output = folder(tmp_path, "start"), folder(tmp_path, "output")
    with pytest.raises(InputError, match=r"no state after 576 tokens, expected .* states_at"):
        train(branch, {**short, "start": start}, output, Placement())
    (start / branch_point_name(START)).write_bytes(b"\0" * 100)
    with pytest.raises(IntegrityError, match=branch_point_name(START)):
        train(branch, {**short, "start": start}, output, Placement())


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"width": 32}},
        {"model": {"num_layers": 3}},
        {"averaging": AveragingSpec(method="ema")},
    ],
    ids=["width", "layers", "average"],
)
def test_a_state_of_another_run_is_one_line(
    changes: dict[str, Any],
    whole: TrainingSpec,
    trunk: TrainingSpec,
    inputs: dict[str, Path],
    short: dict[str, Path],
    tmp_path: Path,
) -> None:
    start, output = folder(tmp_path, "start"), folder(tmp_path, "output")
    train(trunk, inputs, start, Placement())
    model = replace(whole.model, **changes.get("model", {}))
    branch = replace(whole, model=model, start_at=START, averaging=changes.get("averaging"))
    with pytest.raises(IntegrityError, match=r"after 12 steps: .*expected a tensor of shape"):
        train(branch, {**short, "start": start}, output, Placement())


def test_points_within_a_step_are_refused(
    trunk: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="states_at: 100 tokens"):
        train(replace(trunk, states_at=(100,)), inputs, tmp_path, Placement())


def test_the_trunk_does_not_depend_on_what_is_kept(
    trunk: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    plain, keeping = folder(tmp_path, "plain"), folder(tmp_path, "keeping")
    train(replace(trunk, states_at=()), inputs, plain, Placement())
    train(trunk, inputs, keeping, Placement())
    name = "model.safetensors"
    assert (plain / name).read_bytes() == (keeping / name).read_bytes()
    assert np.fromfile(keeping / branch_point_name(START), dtype=np.uint8).size > 0
