import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.accelerators import ACCELERATORS
from torch import Tensor

from curricle.core.errors import InputError, JobError
from curricle.core.jobs import ModelSpec, SharpnessSpec
from curricle.core.token_dataset import TokenDataset
from curricle.models import hessian, hessian_memory
from curricle.models.checkpoint import save_spec, save_weights
from curricle.models.decoder import Decoder, build_model
from curricle.models.hessian_memory import check_memory
from curricle.models.placement import Placement
from curricle.models.sharpness import held_out_batch, measure_sharpness, sharpness


class LostPowerError(Exception):
    """Stands for SIGKILL: nothing of the job's own code runs after it."""


SETTINGS = SharpnessSpec(batch_size=8, max_iterations=100, tolerance=1e-3, seed=0)


@pytest.fixture
def model(model_spec: ModelSpec) -> Decoder:
    return build_model(model_spec, seed=0)


@pytest.fixture
def windows(model_spec: ModelSpec) -> torch.Tensor:
    draw = torch.Generator().manual_seed(0)
    shape = (8, model_spec.sequence_length + 1)
    return torch.randint(model_spec.vocabulary_size, shape, generator=draw)


def test_the_measures_agree_with_each_other(model: Decoder, windows: torch.Tensor) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    found = measure_sharpness(model, windows, SETTINGS)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert found["largest_converged"]
    assert found["smallest_converged"]
    # Each is a Rayleigh quotient of the same Hessian, or of a block of it.
    assert 0 < found["critical"] < found["largest_eigenvalue"] * 1.05
    assert found["dense_largest_eigenvalue"] < found["largest_eigenvalue"]
    assert found["dense_smallest_eigenvalue"] > found["smallest_eigenvalue"]
    assert found["loss"] == pytest.approx(model(windows).item(), rel=1e-5)
    expected = found["iterations"] + found["dense_iterations"] + SETTINGS.trace_samples
    assert found["products"] == expected
    json.dumps(found, allow_nan=False)


def test_sam_and_adaptive_sam_are_their_formulas(model: Decoder, windows: torch.Tensor) -> None:
    model = model.double()
    found = measure_sharpness(model, windows, SETTINGS)
    parameters = list(model.parameters())
    start = model(windows)
    gradients = torch.autograd.grad(start, parameters)

    def rise(radius: float, scales: list[torch.Tensor]) -> float:
        """In the step of that length in the scaled norm, straight up the scaled gradient."""
        scaled = [t * g for t, g in zip(scales, gradients, strict=True)]
        length = torch.cat([part.flatten() for part in scaled]).norm()
        copy = {
            name: weight + radius * t * part / length
            for (name, weight), t, part in zip(
                model.named_parameters(), scales, scaled, strict=True
            )
        }
        return float(torch.func.functional_call(model, copy, (windows,)) - start)

    with torch.no_grad():
        plain = rise(0.05, [torch.ones_like(weight) for weight in parameters])
        adaptive = rise(0.5, [weight.abs() for weight in parameters])
    assert found["sam"] == pytest.approx(plain, rel=1e-6)
    assert found["adaptive_sam"] == pytest.approx(adaptive, rel=1e-6)


def test_micro_batches_change_cost_alone(model: Decoder, windows: torch.Tensor) -> None:
    model = model.double()
    whole = measure_sharpness(model, windows, SETTINGS)
    parts = measure_sharpness(model, windows, replace(SETTINGS, micro_batch_size=3))
    assert parts.pop("flops") > whole.pop("flops")
    assert parts == pytest.approx(whole, rel=1e-6)


def test_settings_leave_parts_out(model: Decoder, windows: torch.Tensor) -> None:
    settings = replace(SETTINGS, trace_samples=0, dense_layers=False)
    found = measure_sharpness(model, windows, settings)
    assert found["products"] == found["iterations"]
    assert not [name for name in found if name.startswith(("trace", "dense"))]


def test_all_arms_share_the_batch(inputs: dict[str, Path]) -> None:
    dataset = TokenDataset(inputs["validation"], 12)
    first = held_out_batch(dataset, 8, seed=0)
    assert torch.equal(first, held_out_batch(dataset, 8, seed=0))
    assert not torch.equal(first, held_out_batch(dataset, 8, seed=1))
    assert len(np.unique(first.numpy(), axis=0)) > 1


def test_samples_may_be_shorter_than_the_model_reads(
    model: Decoder, inputs: dict[str, Path], tmp_path: Path
) -> None:
    save_spec(tmp_path, model.spec)
    save_weights(tmp_path, model.state_dict())
    settings = replace(SETTINGS, max_iterations=2, sequence_length=5)
    found = sharpness(settings, {"checkpoint": tmp_path, **inputs}, tmp_path, Placement())
    assert found["tokens"] == 8 * 5


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_the_job_measures_a_checkpoint(
    accelerator: str, model: Decoder, inputs: dict[str, Path], tmp_path: Path
) -> None:
    save_spec(tmp_path, model.spec)
    save_weights(tmp_path, model.state_dict())
    placement = Placement(accelerator=accelerator)
    found = sharpness(SETTINGS, {"checkpoint": tmp_path, **inputs}, tmp_path, placement)
    dataset = TokenDataset(inputs["validation"], model.spec.sequence_length)
    batch = held_out_batch(dataset, SETTINGS.batch_size, SETTINGS.seed)
    here = measure_sharpness(model, batch, SETTINGS)
    for name in ("loss", "gradient_norm", "largest_eigenvalue", "dense_largest_eigenvalue"):
        assert found[name] == pytest.approx(here[name], rel=2e-3)
    assert found["samples"] == 8
    assert json.loads((tmp_path / "sharpness.json").read_text()) == found


def test_a_killed_one_goes_on_to_the_same_bits(
    model: Decoder, inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first spectrum, in the trace, in the second spectrum, and between them."""
    save_spec(tmp_path, model.spec)
    save_weights(tmp_path, model.state_dict())
    folders = {"checkpoint": tmp_path, **inputs}
    expected = sharpness(SETTINGS, folders, tmp_path, Placement())
    first, total = expected["iterations"], expected["products"]
    backward, fatal, products = hessian._backward, 0, 0
    told: list[tuple[int, int]] = []

    def dies(*arguments: Any, **options: Any) -> Tensor:
        nonlocal products
        products += 1
        if products == fatal:
            raise LostPowerError
        return backward(*arguments, **options)

    monkeypatch.setattr(hessian, "_backward", dies)
    for place in (1, 2, first, first + 1, first + 4, first + 9, total):
        fatal, products = place, 0
        told.clear()
        kept = Placement(unfinished=str(tmp_path / f"unfinished-{place}"), snapshot_seconds=0.0)
        with pytest.raises(LostPowerError):
            sharpness(SETTINGS, folders, tmp_path, kept)
        found = sharpness(SETTINGS, folders, tmp_path, kept, lambda *done: told.append(done))
        assert found == expected
        assert products == total + 1  # the one that died was taken again
        assert told[0] == (place + 1, 1 + 2 * 100 + 8)  # the look around comes before them
        assert told[-1][0] == total + 1


def out_of_memory() -> Exception:
    return RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")


@pytest.mark.parametrize("make", [out_of_memory, torch.OutOfMemoryError])
def test_a_batch_that_does_not_fit_says_how_to_lower_it(
    make: Callable[[], Exception],
    model: Decoder,
    windows: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise make()

    monkeypatch.setattr("curricle.models.sharpness.extreme_eigenvalues", fail)
    with pytest.raises(InputError, match=r"8 x 12 tokens at once.*lower micro_batch_size"):
        measure_sharpness(model, windows, SETTINGS)


def test_a_batch_that_linux_would_kill_for_is_refused_before(
    model: Decoder, windows: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curricle.models.hessian_memory.available_bytes", lambda: 3 << 20)
    with pytest.raises(InputError, match="with 100 vectors of Lanczos: more than the memory"):
        measure_sharpness(model, windows, SETTINGS)
    measure_sharpness(model, windows, replace(SETTINGS, max_iterations=3, micro_batch_size=1))


def test_attention_counts_towards_what_does_not_fit(
    model: Decoder, windows: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curricle.models.hessian_memory.available_bytes", lambda: 3 << 20)
    settings = replace(SETTINGS, max_iterations=3, micro_batch_size=1)
    check_memory(model, 1, 48, settings)
    with pytest.raises(InputError, match="1 x 480 tokens at once"):
        check_memory(model, 1, 480, settings)
    model.attention_heads = 0
    check_memory(model, 1, 480, settings)


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hessian_memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(hessian_memory, "_CGROUP", tmp_path)
    assert hessian_memory.available_bytes() is None
    (tmp_path / "meminfo").write_text("MemFree: 1 kB\nMemAvailable:    4000 kB\n")
    (tmp_path / "memory.current").write_text("2000000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert hessian_memory.available_bytes() == 4000 * 1024
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.stat").write_text("anon 7\ninactive_file 500000\n")
    assert hessian_memory.available_bytes() == 1_500_000


def test_other_errors_of_torch_are_not_hidden(model: Decoder, windows: torch.Tensor) -> None:
    with pytest.raises((RuntimeError, IndexError), match="index"):
        measure_sharpness(model, windows + 97, SETTINGS)


def test_weights_that_are_no_numbers_are_named(model: Decoder, windows: torch.Tensor) -> None:
    with torch.no_grad():
        model.tokens.weight.fill_(math.nan)
    with pytest.raises(JobError, match="loss is nan"):
        measure_sharpness(model, windows, SETTINGS)
