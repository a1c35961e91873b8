from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from curricle.core.jobs import AveragingSpec, TrainingSpec
from curricle.models.averaging import WeightAverage
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


def test_a_run_ends_with_the_average_and_keeps_its_last_weights(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    plain, averaged = tmp_path / "plain", tmp_path / "averaged"
    spec = replace(
        training_spec,
        checkpoints_at=(720, 960),
        averaging=AveragingSpec(method="last", checkpoints=2, every=5),
    )
    for folder, variant in ((plain, training_spec), (averaged, spec)):
        folder.mkdir()
        train(variant, inputs, folder, Placement())
    last = load_file(averaged / "model-last.safetensors")
    before = load_file(averaged / "model-at-720.safetensors")
    for name, tensor in load_file(averaged / "model.safetensors").items():
        torch.testing.assert_close(tensor, (before[name] + last[name]) / 2)
        torch.testing.assert_close(last[name], load_file(plain / "model.safetensors")[name])
