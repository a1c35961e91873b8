"""The Triton kernels against the plain-torch references.

On a GPU these tests run there. Elsewhere `test_interpreter.py` runs them in Triton's interpreter,
which cannot multiply bf16 and has no fp32 sums of fp16 products: those cases need a GPU.
"""

import os

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from curricle.kernels.bigram_cross_entropy import bigram_cross_entropy, fit_bigram_model
from curricle.kernels.bigram_cross_entropy import reference as bigram_reference
from curricle.kernels.linear_cross_entropy import linear_cross_entropy
from curricle.kernels.linear_cross_entropy import reference as loss_reference
from curricle.kernels.linear_cross_entropy.function import Reduction
from curricle.kernels.minhash import minhash
from curricle.kernels.minhash import reference as minhash_reference
from curricle.kernels.sequence_entropy import reference as entropy_reference
from curricle.kernels.sequence_entropy import sequence_entropy

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"
if not INTERPRETED:
    pytestmark = [
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    ]
pytest.importorskip("triton")

from curricle.kernels.bigram_cross_entropy import triton_kernels as bigram_kernels  # noqa: E402
from curricle.kernels.linear_cross_entropy import triton_kernels as loss_kernels  # noqa: E402
from curricle.kernels.minhash import triton_kernels as minhash_kernels  # noqa: E402
from curricle.kernels.sequence_entropy import triton_kernels as entropy_kernels  # noqa: E402

needs_gpu = pytest.mark.skipif(INTERPRETED, reason="not in the interpreter")
SHAPES = [(1, 1, 1), (5, 3, 2), (37, 40, 301), (130, 65, 129), (129, 16, 1500)]
SHAPES_MANY_STRETCHES = [*SHAPES, pytest.param((8192, 768, 50257), marks=needs_gpu)]
LOW_PRECISION = [pytest.param(dtype, marks=needs_gpu) for dtype in (torch.bfloat16, torch.float16)]
# fp32: other order of sums, TF32 products in threes. fp16 and bf16: logits of the losses are fp32,
# but in gradients rounded to 11 and 8 bits, as are the gradients of the logits.
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2**-9, torch.bfloat16: 2**-6}
Case = tuple[Tensor, Tensor, Tensor]


def make_case(shape: tuple[int, int, int], dtype: torch.dtype) -> Case:
    """Hidden states, weight with logits of about unit size, targets of which every fifth is -1."""
    rows, width, vocabulary = shape
    torch.manual_seed(rows)
    hidden_NC = torch.randn(rows, width).to(DEVICE, dtype)
    weight_VC = (torch.randn(vocabulary, width) / width**0.5).to(DEVICE, dtype)
    target_N = torch.randint(0, vocabulary, (rows,))
    target_N[1::5] = -1
    return hidden_NC, weight_VC, target_N.to(DEVICE)


def assert_close(found: Tensor | None, expected: Tensor | None, tolerance: float) -> None:
    """Relative to the largest entry: gradients are sums in which terms cancel."""
    assert found is not None
    assert expected is not None
    scale = max(1e-30, float(expected.abs().max()))
    torch.testing.assert_close(
        found.double() / scale, expected.double() / scale, rtol=0, atol=tolerance
    )


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, pytest.param(torch.bfloat16, marks=needs_gpu)]
)
@pytest.mark.parametrize("shape", SHAPES_MANY_STRETCHES)
def test_token_losses(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    case = make_case(shape, dtype)
    found_N = loss_kernels.token_losses(*case, -1)
    assert found_N.dtype == torch.float32
    assert_close(found_N, loss_reference.token_losses(*case, -1), 1e-5)


def test_losses_of_tensors_that_are_not_contiguous() -> None:
    hidden_NC, weight_VC, target_N = make_case((37, 40, 301), torch.float32)
    targets = target_N.repeat_interleave(2)[::2]
    strided = (hidden_NC.T.contiguous().T, weight_VC.T.contiguous().T, targets)
    assert not any(tensor.is_contiguous() for tensor in strided)
    expected_N = loss_reference.token_losses(hidden_NC, weight_VC, target_N, -1)
    assert_close(loss_kernels.token_losses(*strided, -1), expected_N, 1e-5)
    wanted = (True, True)
    found = loss_kernels.losses_and_gradients(*strided, -1, None, wanted)
    expected = loss_reference.losses_and_gradients(hidden_NC, weight_VC, target_N, -1, None, wanted)
    for each, expected_each in zip(found, expected, strict=True):
        assert_close(each, expected_each, 1e-5)


def test_vocabulary_in_one_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_kernels, "_PROGRAMS_EACH", 1)
    monkeypatch.setattr(loss_kernels, "_processors", lambda _device: 1)
    case = make_case((33, 20, 400), torch.float32)
    found_N = loss_kernels.token_losses(*case, -1)
    assert_close(found_N, loss_reference.token_losses(*case, -1), 1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, *LOW_PRECISION])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_losses_and_gradients(
    shape: tuple[int, int, int],
    weighted: bool,
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loss_kernels, "_MAX_ELEMENTS", 64 * shape[2])  # several chunks
    monkeypatch.setattr(loss_kernels, "MAX_BLOCK_WORDS", 256)  # several blocks of a row
    case = make_case(shape, dtype)
    grad_loss_N = torch.linspace(-1, 2, shape[0], device=DEVICE) if weighted else None
    found = loss_kernels.losses_and_gradients(*case, -1, grad_loss_N, (True, True))
    expected = loss_reference.losses_and_gradients(*case, -1, grad_loss_N, (True, True))
    for each, expected_each in zip(found, expected, strict=True):
        assert_close(each, expected_each, TOLERANCE[dtype])


@pytest.mark.parametrize("wanted", [(True, False), (False, True)])
def test_one_gradient_alone(wanted: tuple[bool, bool]) -> None:
    case = make_case((33, 20, 400), torch.float32)
    _, *found = loss_kernels.losses_and_gradients(*case, -1, None, wanted)
    assert [gradient is not None for gradient in found] == list(wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("vocabulary", [1, 63, 64, 1000])
def test_logits_become_their_gradient(
    vocabulary: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_kernels, "MAX_BLOCK_WORDS", 512)
    # A row longer than the vocabulary, as in the padded buffer; NaN in the padding must not spread.
    buffer = torch.full((9, 1024), torch.nan, dtype=dtype, device=DEVICE)
    logits_MV = buffer[:, :vocabulary]
    logits_MV.copy_(torch.randn(9, vocabulary) * 3)
    target_M = torch.randint(0, vocabulary, (9,)).to(DEVICE)
    target_M[4] = -100
    weight_M = torch.linspace(-1, 2, 9, device=DEVICE)
    plain_MV = logits_MV.float().requires_grad_()
    expected_M = F.cross_entropy(plain_MV, target_M, reduction="none")
    (expected_MV,) = torch.autograd.grad(expected_M, plain_MV, weight_M)

    loss_M = torch.empty(9, device=DEVICE)
    loss_kernels.to_gradient_(logits_MV, target_M, weight_M, loss_M, -100)
    assert_close(loss_M, expected_M.detach(), 1e-6)
    assert_close(logits_MV, expected_MV, TOLERANCE[dtype])


def test_target_out_of_range_is_nan() -> None:
    hidden_NC, weight_VC, _ = make_case((4, 3, 5), torch.float32)
    target_N = torch.tensor([0, 5, -2, -1], device=DEVICE)
    expected = [False, True, True, False]
    losses_N = loss_kernels.token_losses(hidden_NC, weight_VC, target_N, -1)
    assert losses_N.isnan().tolist() == expected
    wanted = (True, True)
    losses_N, *_ = loss_kernels.losses_and_gradients(
        hidden_NC, weight_VC, target_N, -1, None, wanted
    )
    assert losses_N.isnan().tolist() == expected


def test_no_tokens() -> None:
    case = make_case((0, 3, 5), torch.float32)
    assert loss_kernels.token_losses(*case, -1).shape == (0,)
    loss_N, grad_hidden_NC, grad_weight_VC = loss_kernels.losses_and_gradients(
        *case, -1, None, (True, True)
    )
    assert loss_N.shape == (0,)
    assert grad_hidden_NC is not None
    assert grad_hidden_NC.shape == (0, 3)
    assert grad_weight_VC is not None
    assert (grad_weight_VC == 0).all()


@pytest.mark.parametrize("blocks", [(1024, 8192), (64, 8192), (64, 128)])
@pytest.mark.parametrize(("rows", "length"), [(1, 1), (0, 9), (3, 63), (5, 64), (2, 300)])
def test_sequence_entropy(
    rows: int, length: int, blocks: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entropy_kernels, "RUNS_BLOCK", blocks[0])
    monkeypatch.setattr(entropy_kernels, "MAX_SORTED", blocks[1])
    monkeypatch.setattr(entropy_kernels, "TOKENS_AT_ONCE", 200)
    tokens_BT = (torch.rand(length, rows) ** 2 * 100).long().to(DEVICE).T
    expected_B = entropy_reference.entropy(tokens_BT.cpu(), 100)
    found_B = entropy_kernels.entropy(tokens_BT)
    assert found_B.dtype == torch.float64
    torch.testing.assert_close(found_B.cpu(), expected_B, rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize(("rows", "length"), [(0, 5), (1, 2), (3, 63), (5, 257), (2, 300)])
def test_bigram_cross_entropy(rows: int, length: int, dtype: torch.dtype) -> None:
    torch.manual_seed(length)
    # Words beyond those that the model was fitted on, and pairs that it doesn't know.
    fitted_BT = (torch.rand(4, 50) ** 2 * 90).long()
    scored_BT = (torch.rand(length, rows) ** 2 * 100).to(DEVICE, dtype).T
    model = fit_bigram_model(fitted_BT, 100)
    found_B = bigram_kernels.cross_entropy(scored_BT, model.to(DEVICE))
    assert found_B.dtype == torch.float64
    expected_B = bigram_reference.cross_entropy(scored_BT.cpu(), model)
    torch.testing.assert_close(found_B.cpu(), expected_B, rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_pairs", [1, 2, 3, 4, 5, 8, 9])
def test_bigram_search_among_any_number_of_pairs(num_pairs: int) -> None:
    model = fit_bigram_model(torch.arange(num_pairs + 1).view(1, -1), 12)
    every_BT = torch.cartesian_prod(torch.arange(12), torch.arange(12))
    found_B = bigram_kernels.cross_entropy(every_BT.to(DEVICE), model.to(DEVICE))
    expected_B = bigram_reference.cross_entropy(every_BT, model)
    torch.testing.assert_close(found_B.cpu(), expected_B, rtol=0, atol=1e-12)


@pytest.mark.parametrize("num_permutations", [1, 31, 33])
@pytest.mark.parametrize("lengths", [[0], [1, 0, 31, 32, 33], [100]])
def test_minhash(lengths: list[int], num_permutations: int) -> None:
    torch.manual_seed(num_permutations)
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    bits_S, multiplier_P, increment_P = (
        torch.randint(-(2**63), 2**63 - 1, (2 * size,))[::2]
        for size in (sum(lengths), num_permutations, num_permutations)
    )
    expected_DP = minhash_reference.signatures(bits_S, offsets, multiplier_P, increment_P)
    found_DP = minhash_kernels.signatures(
        bits_S.to(DEVICE), offsets.to(DEVICE), multiplier_P, increment_P
    )
    assert torch.equal(found_DP.cpu(), expected_DP)


@needs_gpu
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_public_function(dtype: torch.dtype, reduction: Reduction) -> None:
    hidden_NC, weight_VC, target_N = make_case((300, 64, 5000), dtype)
    hidden_NC, weight_VC = hidden_NC.requires_grad_(), weight_VC.requires_grad_()
    settings = {"ignore_index": -1, "reduction": reduction}
    found = linear_cross_entropy(
        hidden_NC.T.contiguous().T, weight_VC, target_N, ignore_index=-1, reduction=reduction
    )
    logits_NV = hidden_NC.double() @ weight_VC.double().T
    expected: Tensor = F.cross_entropy(logits_NV, target_N, **settings)  # type: ignore[arg-type]
    assert_close(found.detach(), expected.detach(), TOLERANCE[dtype])
    weights = torch.linspace(-1, 2, found.numel(), device=DEVICE).reshape(found.shape)
    gradients = torch.autograd.grad(found, (hidden_NC, weight_VC), weights)
    expected_gradients = torch.autograd.grad(expected, (hidden_NC, weight_VC), weights.double())
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert gradient.dtype == dtype
        assert_close(gradient, expected_gradient, TOLERANCE[dtype])


@needs_gpu
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_autocast_with_a_master_weight(reduction: Reduction) -> None:
    hidden_NC, weight_VC, target_N = make_case((9000, 64, 5000), torch.float32)
    case = (hidden_NC.bfloat16().requires_grad_(), weight_VC.requires_grad_())
    with torch.autocast("cuda", torch.bfloat16):
        found = linear_cross_entropy(*case, target_N, ignore_index=-1, reduction=reduction)
    logits_NV = case[0].double() @ case[1].bfloat16().double().T
    expected: Tensor = F.cross_entropy(logits_NV, target_N, ignore_index=-1, reduction=reduction)
    gradients = torch.autograd.grad(found.sum(), case)
    expected_gradients = torch.autograd.grad(expected.sum(), case)
    assert [gradient.dtype for gradient in gradients] == [torch.bfloat16, torch.float32]
    assert not torch.equal(gradients[1], gradients[1].bfloat16().float())
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert_close(gradient, expected_gradient, TOLERANCE[torch.bfloat16])


@needs_gpu
def test_memory() -> None:
    hidden_NC, weight_VC, target_N = make_case((8192, 768, 50257), torch.bfloat16)
    logits_bytes = 8192 * 50257 * 2

    def peak(want_gradients: bool) -> int:
        hidden_NC.requires_grad_(want_gradients)
        weight_VC.requires_grad_(want_gradients)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        loss = linear_cross_entropy(hidden_NC, weight_VC, target_N, ignore_index=-1)
        if want_gradients:
            torch.autograd.grad(loss, (hidden_NC, weight_VC))
        return torch.cuda.max_memory_allocated() - before

    # The naive form keeps logits, their logarithms and gradients: 3 x logits_bytes.
    assert peak(want_gradients=True) < logits_bytes * 3 / 4
    assert peak(want_gradients=False) < logits_bytes / 100


@needs_gpu
def test_public_sequence_entropy() -> None:
    tokens_BT = torch.randint(0, 50257, (1000, 1024), device=DEVICE)
    found_B = sequence_entropy(tokens_BT, 50257)
    assert found_B.device == tokens_BT.device
    expected_B = sequence_entropy(tokens_BT.cpu(), 50257)
    torch.testing.assert_close(found_B.cpu(), expected_B, rtol=0, atol=1e-12)


@needs_gpu
def test_public_bigram_cross_entropy() -> None:
    tokens_BT = (torch.rand(1000, 1024) ** 3 * 50257).long().to(DEVICE)
    model = fit_bigram_model(tokens_BT[:100], 50257)
    found_B = bigram_cross_entropy(tokens_BT, model)
    assert found_B.device == tokens_BT.device
    expected_B = bigram_cross_entropy(tokens_BT.cpu(), model.to("cpu"))
    torch.testing.assert_close(found_B.cpu(), expected_B, rtol=0, atol=1e-11)


@needs_gpu
@pytest.mark.parametrize("dtype", [torch.uint32, torch.uint64, torch.int64])
def test_public_minhash(dtype: torch.dtype) -> None:
    bits_S = torch.randint(-(2**63), 2**63 - 1, (100_000,))
    hashes_S = bits_S.view(dtype)[:100_000]
    offsets = torch.arange(0, 100_001, 200)
    found_DP = minhash(hashes_S.to(DEVICE), offsets.to(DEVICE), 112, seed=1)
    assert found_DP.is_cuda
    assert torch.equal(found_DP.cpu(), minhash(hashes_S, offsets, 112, seed=1))
