import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from curricle.core.jobs import AveragingSpec, TrainingSpec
from curricle.models.averaging import WeightAverage
from curricle.models.decoder import build_model
from curricle.models.placement import Placement
from curricle.models.training import train

STEPS = 40


def walk(spec: AveragingSpec) -> tuple[WeightAverage, list[torch.Tensor]]:
    """Random-walk weights through the average; returns it and the weights after each step."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(5, generator=generator)
    average = WeightAverage(spec, STEPS, [weights])
    history = []
    for done in range(1, STEPS + 1):
        weights += torch.randn(5, generator=generator)
        average.update(done)
        history.append(weights.clone())
    return average, history


def test_the_mean_of_the_last_checkpoints() -> None:
    average, history = walk(AveragingSpec(method="last", checkpoints=4, every=3))
    expected = torch.stack([history[done - 1] for done in (31, 34, 37, 40)]).mean(0)
    torch.testing.assert_close(average.tensors[0], expected)


def test_the_exponential_average_is_torchs_once_warm() -> None:
    """Torch's has no warm-up: from the step on where ours is warm, both do the same."""
    decay, warm = 0.5, 9  # (1 + 9) / (10 + 9) > 0.5
    average, history = walk(AveragingSpec(method="ema", decay=decay))
    module = torch.nn.Module()
    module.weights = torch.nn.Parameter(history[warm - 1].clone())
    model = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay))
    model.update_parameters(module)
    for weights in history[warm:]:
        module.weights.data.copy_(weights)
        model.update_parameters(module)
    # What the two started from has been halved 31 times.
    torch.testing.assert_close(average.tensors[0], model.module.weights.data)


def test_the_first_weights_are_soon_forgotten() -> None:
    average = WeightAverage(AveragingSpec(method="ema", decay=0.9999), 100, [torch.zeros(1)])
    start = average.tensors[0].fill_(1.0)
    for done in range(1, 101):
        average.update(done)
    assert start.item() < 1e-3


def validations(folder: Path) -> list[float]:
    """The mean held-out loss at each point."""
    entries = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    name = "validation/loss/average"
    return [entry["values"][name] for entry in entries if name in entry["values"]]


def test_a_run_ends_with_the_exponential_average_of_its_weights(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    per_step = training_spec.tokens_per_step
    spec = replace(
        training_spec,
        checkpoints_at=tuple(per_step * step for step in range(1, 21)),
        averaging=AveragingSpec(method="ema", decay=0.8),
    )
    train(spec, inputs, tmp_path, Placement())
    history = [
        load_file(tmp_path / f"model-at-{tokens}.safetensors") for tokens in spec.checkpoints_at
    ]
    start = build_model(spec.model, spec.seed).state_dict()
    for name, tensor in load_file(tmp_path / "model.safetensors").items():
        average = start[name].clone()
        for done, weights in enumerate(history, start=1):
            average += (1 - min(0.8, (1 + done) / (10 + done))) * (weights[name] - average)
        torch.testing.assert_close(tensor, average)


def test_a_run_ends_with_the_average_and_keeps_its_last_weights(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    plain, averaged = tmp_path / "plain", tmp_path / "averaged"
    spec = replace(
        training_spec,
        checkpoints_at=(720, 960),
        averaging=AveragingSpec(method="last", checkpoints=2, every=5),
    )
    on_the_way = replace(training_spec, validations_at=(240, 480))
    spec = replace(spec, validations_at=(240, 480))
    for folder, variant in ((plain, on_the_way), (averaged, spec)):
        folder.mkdir()
        train(variant, inputs, folder, Placement())
    assert validations(averaged)[:-1] == validations(plain)[:-1]
    last = load_file(averaged / "model-last.safetensors")
    before = load_file(averaged / "model-at-720.safetensors")
    for name, tensor in load_file(averaged / "model.safetensors").items():
        torch.testing.assert_close(tensor, (before[name] + last[name]) / 2)
        torch.testing.assert_close(last[name], load_file(plain / "model.safetensors")[name])
