"""Eigenvalues, trace and gradient against the dense Hessian of `torch.func`, in fp64."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.dense_hessian import (
    CASES,
    CLOSE,
    NEGATIVE,
    SMALL,
    VOCABULARY,
    Logits,
    dense_hessian,
    draw_windows,
    hugging_face_model,
    scaled_model,
    start_vector,
)
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from curricle.models.decoder import build_model
from curricle.models.flops import sharpness_flops
from curricle.models.hessian import BatchLoss, dense_parameters
from curricle.models.lanczos import extreme_eigenvalues, hutchinson_trace
from curricle.models.language_model import LanguageModel


def check_both_ends(model: LanguageModel, windows: Tensor) -> Tensor:
    """Compare with the dense Hessian; returns its eigenvalues."""
    exact = torch.linalg.eigvalsh(dense_hessian(model, windows))
    product = BatchLoss(model, windows).hessian_product(list(model.parameters()))
    found = extreme_eigenvalues(product, start_vector(len(exact)), 200, tolerance=1e-4)
    assert found.largest.converged
    assert found.smallest.converged
    assert found.largest.eigenvalue == pytest.approx(exact[-1].item(), rel=1e-3)
    assert found.smallest.eigenvalue == pytest.approx(exact[0].item(), rel=1e-3)
    return exact


@pytest.mark.parametrize("name", CASES)
def test_eigenvalues(name: str, tmp_path: Path) -> None:
    exact = check_both_ends(*CASES[name](tmp_path))
    if name == CLOSE:
        assert exact[-2] > 0.95 * exact[-1]
    if name == NEGATIVE:
        assert -exact[0] > 1.5 * exact[-1]


def test_transformers_own_code_is_among_them(tmp_path: Path) -> None:
    assert type(hugging_face_model(tmp_path)).__name__ == "HuggingFaceModel"


def test_the_trace_is_the_dense_hessians() -> None:
    model, windows = scaled_model(2.0, seed=0), draw_windows(6, seed=0)
    matrix = dense_hessian(model, windows)
    product = BatchLoss(model, windows).hessian_product(list(model.parameters()))
    trace = hutchinson_trace(product, matrix[0], 400, seed=0)
    expected = torch.sqrt(2 * (matrix - torch.diag(matrix.diagonal())).square().sum() / 400).item()
    assert trace.error == pytest.approx(expected, rel=0.2)
    assert abs(trace.value - matrix.trace().item()) < 2.5 * trace.error


@pytest.mark.parametrize("micro_batch_size", [1, 4, 6])
def test_micro_batches_leave_every_number_as_it_is(micro_batch_size: int) -> None:
    model, windows = scaled_model(2.0, seed=0), draw_windows(6, seed=0)
    parameters = list(model.parameters())
    whole, parts = BatchLoss(model, windows), BatchLoss(model, windows, micro_batch_size)
    vector = torch.randn(sum(each.numel() for each in parameters)).double()
    for measure in (
        BatchLoss.value,
        lambda loss: loss.gradient(parameters),
        lambda loss: loss.hessian_product(parameters)(vector),
    ):
        torch.testing.assert_close(measure(parts), measure(whole))


def test_the_gradient_is_autograds() -> None:
    model, windows = scaled_model(2.0, seed=0), draw_windows(6, seed=0)
    logits = Logits(model)(windows[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    expected = torch.autograd.grad(loss, list(model.parameters()))
    batch = BatchLoss(model, windows)
    torch.testing.assert_close(
        batch.gradient(list(model.parameters())), torch.cat([each.flatten() for each in expected])
    )
    assert batch.value() == pytest.approx(loss.item())


def test_the_dense_layers_block_of_the_hessian() -> None:
    model, windows = scaled_model(2.0, seed=0), draw_windows(6, seed=0)
    names = dict(model.named_parameters())
    dense = dense_parameters(model)
    kept = [name for name, each in names.items() if any(each is other for other in dense)]
    assert sorted(kept) == [
        "blocks.0.attention.projection.weight",
        "blocks.0.attention.qkv.weight",
        "blocks.0.feed_forward.expand.weight",
        "blocks.0.feed_forward.projection.weight",
    ]
    places = torch.cat(
        [torch.full((each.numel(),), name in kept) for name, each in names.items()]
    ).nonzero()[:, 0]
    block = dense_hessian(model, windows)[places][:, places]
    vector = torch.randn(len(places)).double()
    product = BatchLoss(model, windows).hessian_product(dense)
    torch.testing.assert_close(product(vector), block @ vector)


def test_the_dense_layers_of_a_model_in_hugging_faces_code(tmp_path: Path) -> None:
    model = hugging_face_model(tmp_path)
    names = {id(each): name for name, each in model.named_parameters()}
    kept = {names[id(each)].split(".")[-2] for each in dense_parameters(model)}
    assert kept == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_the_stated_cost_is_what_torch_counts() -> None:
    spec = replace(SMALL, num_layers=3, width=32, num_heads=2, sequence_length=16)
    model = build_model(spec, seed=0)
    windows = torch.randint(VOCABULARY, (8, 17))
    parameters = list(model.parameters())
    vector = torch.randn(sum(each.numel() for each in parameters))

    unit = windows[:, 1:].numel() * model.forward_flops_per_token
    for micro_batch_size, rebuilt in ((None, False), (4, True)):
        loss = BatchLoss(model, windows, micro_batch_size)
        product = loss.hessian_product(parameters)
        stated = [
            sharpness_flops(unit, products=products, looks=0, rebuilt=rebuilt)
            for products in (0, 1)
        ]
        found = count_operations(product, vector)
        assert found == pytest.approx(stated[1] - stated[0], rel=0.06)
        assert count_operations(loss.gradient, parameters) == pytest.approx(3 * unit, rel=0.06)


def count_operations(work: Callable[[Any], Tensor], argument: object) -> int:
    with FlopCounterMode(display=False) as counter:
        work(argument)
    return counter.get_total_flops()
