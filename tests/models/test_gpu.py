"""Training, scoring and sweeps on a GPU: the same bits each time, and what a CPU says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from curricle.core.jobs import TrainingSpec
from curricle.core.token_dataset import TokenDataset
from curricle.models import training
from curricle.models.checkpoint import load_model
from curricle.models.half_losses import half_losses
from curricle.models.jobs import Job
from curricle.models.placement import Placement
from curricle.models.pool import train_many
from curricle.models.training import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
GPU = Placement(accelerator="cuda")
Inputs = dict[str, Path]
Variant = Callable[..., TrainingSpec]


def trained(
    spec: TrainingSpec, inputs: Inputs, output: Path, placement: Placement = GPU
) -> tuple[dict[str, torch.Tensor], float]:
    """The final weights, and the mean validation loss."""
    output.mkdir()
    facts = train(spec, inputs, output, placement)
    losses = [entry["loss"] for entry in facts["validation"].values()]
    return load_file(output / "model.safetensors"), float(np.mean(losses))


@pytest.mark.parametrize("micro_batch_size", [None, 2])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_recorded_steps_repeat_and_learn_what_written_ones_do(
    precision: str,
    micro_batch_size: int | None,
    variant: Variant,
    inputs: Inputs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = variant(precision=precision, micro_batch_size=micro_batch_size)
    recorded, _ = trained(spec, inputs, tmp_path / "recorded")
    again, _ = trained(spec, inputs, tmp_path / "again")
    monkeypatch.setattr(training, "GRAPHED", 0)
    written, _ = trained(spec, inputs, tmp_path / "written")
    for name, tensor in recorded.items():
        assert torch.equal(tensor, again[name])
        # The rate is fp32 in a graph, a Python number outside.
        torch.testing.assert_close(tensor, written[name], atol=1e-4, rtol=1e-3)


@pytest.mark.usefixtures("eager_collection")
def test_an_earlier_runs_graph_does_not_spoil_a_record(
    variant: Variant, inputs: Inputs, tmp_path: Path
) -> None:
    for seed in range(3):
        trained(variant(seed=seed), inputs, tmp_path / f"run{seed}")


def test_a_gpu_learns_what_a_cpu_learns(
    training_spec: TrainingSpec, inputs: Inputs, tmp_path: Path
) -> None:
    _, there = trained(training_spec, inputs, tmp_path / "gpu")
    _, here = trained(training_spec, inputs, tmp_path / "cpu", Placement())
    assert there == pytest.approx(here, abs=1e-4)


def test_compiled_blocks_learn_the_same(
    training_spec: TrainingSpec, inputs: Inputs, tmp_path: Path
) -> None:
    _, compiled = trained(replace(training_spec, compile=True), inputs, tmp_path / "compiled")
    _, plain = trained(training_spec, inputs, tmp_path / "plain")
    assert compiled == pytest.approx(plain, abs=1e-4)


def test_processes_that_share_a_gpu_end_with_the_bits_of_one(
    variant: Variant, inputs: Inputs, tmp_path: Path
) -> None:
    specs = [variant(seed=seed, precision="bf16") for seed in range(3)]
    jobs = []
    for seed, spec in enumerate(specs):
        output = tmp_path / f"together{seed}"
        output.mkdir()
        jobs.append(Job("train", spec, inputs, output))
    train_many(jobs, workers=3, placement=GPU)
    for job in jobs:
        alone, _ = trained(job.spec, inputs, tmp_path / f"alone{job.spec.seed}")
        together = load_file(job.output / "model.safetensors")
        assert all(torch.equal(tensor, together[name]) for name, tensor in alone.items())


def test_losses_of_samples_are_those_of_a_cpu(
    training_spec: TrainingSpec, inputs: Inputs, tmp_path: Path
) -> None:
    trained(training_spec, inputs, tmp_path / "run", Placement())
    model = load_model(tmp_path / "run", "model.safetensors")
    dataset = TokenDataset(inputs["dataset"], training_spec.model.sequence_length)
    samples = np.arange(32)
    here = half_losses(model, dataset, samples)
    there = half_losses(model.to("cuda"), dataset, samples)
    np.testing.assert_allclose(there, here, atol=1e-4)
