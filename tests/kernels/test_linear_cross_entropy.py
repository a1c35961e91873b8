"""The CPU path against the naive form, which stores all logits, in fp64."""

import itertools
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from curricle.kernels.linear_cross_entropy import linear_cross_entropy, reference
from curricle.kernels.linear_cross_entropy.function import Reduction

SHAPES = [(1, 1, 1), (1, 3, 2), (7, 5, 3), (33, 17, 101), (257, 8, 70), (600, 32, 301)]
REDUCTIONS: list[Reduction] = ["mean", "sum", "none"]
# fp32: sums of some 1,000 terms and torch's softmax, exact to 3e-6 (the naive fp32 form's too).
# bf16, multiplied in fp32: inputs are taken as they are, so that losses are as exact; gradients are
# rounded to 8 bits once or twice. fp64: the naive form itself, in another order.
LOSS_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-5, torch.float64: 1e-12}
GRADIENT_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2**-7, torch.float64: 1e-12}
Case = tuple[Tensor, Tensor, Tensor]


def make_case(shape: tuple[int, int, int], dtype: torch.dtype, ignored: bool = False) -> Case:
    """Hidden and weight that want gradients, and targets, of which every fifth may be ignored."""
    rows, width, vocabulary = shape
    generator = torch.Generator().manual_seed(rows)
    hidden_NC = torch.randn(rows, width, generator=generator).to(dtype).requires_grad_()
    weight_VC = torch.randn(vocabulary, width, generator=generator).to(dtype).requires_grad_()
    target_N = torch.randint(0, vocabulary, (rows,), generator=generator)
    if ignored:
        target_N[1::5] = -100
    return hidden_NC, weight_VC, target_N


def naive(case: Case, **settings: Any) -> Tensor:
    hidden_NC, weight_VC, target_N = case
    return F.cross_entropy(hidden_NC.double() @ weight_VC.double().T, target_N, **settings)


def weights_like(loss: Tensor) -> Tensor:
    """Gradient that arrives at the loss: different for each token, so that a mix-up shows."""
    return torch.linspace(-1, 2, loss.numel(), dtype=loss.dtype).reshape(loss.shape)


def assert_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Relative to the largest entry: gradients are sums in which terms cancel."""
    scale = max(1e-30, float(expected.detach().abs().max()))
    torch.testing.assert_close(
        found.double() / scale, expected.double() / scale, rtol=0, atol=tolerance
    )


def assert_like_naive(case: Case, **settings: Any) -> None:
    found, expected = linear_cross_entropy(*case, **settings), naive(case, **settings)
    dtype = case[0].dtype
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert_close(found, expected, LOSS_TOLERANCE[dtype])
    wanted = [tensor for tensor in case[:2] if tensor.requires_grad]
    gradients = torch.autograd.grad(found, wanted, weights_like(found))
    expected_gradients = torch.autograd.grad(expected, wanted, weights_like(expected))
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert gradient.dtype == dtype
        assert_close(gradient, expected_gradient, GRADIENT_TOLERANCE[dtype])


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_loss_and_gradients(
    shape: tuple[int, int, int],
    dtype: torch.dtype,
    reduction: Reduction,
    ignored: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference, "multiplies_bf16", lambda: False)
    assert_like_naive(make_case(shape, dtype, ignored), reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_products_in_bf16(
    shape: tuple[int, int, int], reduction: Reduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As exact as the naive form in bf16, give or take a unit in the last place."""
    monkeypatch.setattr(reference, "multiplies_bf16", lambda: True)
    case = make_case(shape, torch.bfloat16, ignored=True)
    exact = naive(case, reduction=reduction)
    exact_gradients = torch.autograd.grad(exact, case[:2], weights_like(exact))
    logits_NV = case[0] @ case[1].T
    rounded = F.cross_entropy(logits_NV, case[2], reduction=reduction)
    rounded_gradients = torch.autograd.grad(rounded, case[:2], weights_like(rounded))
    found = linear_cross_entropy(*case, reduction=reduction)
    gradients = torch.autograd.grad(found, case[:2], weights_like(found))
    assert found.dtype == torch.float32
    for ours, theirs, best in zip(
        (found, *gradients), (rounded, *rounded_gradients), (exact, *exact_gradients), strict=True
    ):
        scale = best.abs().max()
        assert (ours - best).abs().max() <= 1.25 * (theirs - best).abs().max() + 2**-8 * scale


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ignore_index_within_the_vocabulary(reduction: Reduction) -> None:
    case = make_case((50, 8, 5), torch.float32)
    assert (case[2] == 3).any()
    assert_like_naive(case, reduction=reduction, ignore_index=3)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_inputs_that_are_not_contiguous(reduction: Reduction) -> None:
    hidden_NC = torch.randn(16, 300)[::2].T.requires_grad_()
    weight_VC = torch.randn(91, 16)[:, ::2].requires_grad_()
    target_N = torch.randint(0, 91, (600,))[::2]
    assert not any(tensor.is_contiguous() for tensor in (hidden_NC, weight_VC, target_N))
    assert_like_naive((hidden_NC, weight_VC, target_N), reduction=reduction)


@pytest.mark.parametrize("frozen", [0, 1])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradient_of_one_input_alone(reduction: Reduction, frozen: int) -> None:
    case = make_case((300, 8, 33), torch.float32)
    case[frozen].requires_grad_(False)
    assert_like_naive(case, reduction=reduction)


def test_int32_targets() -> None:
    hidden_NC, weight_VC, target_N = make_case((9, 4, 7), torch.float32)
    expected = linear_cross_entropy(hidden_NC, weight_VC, target_N)
    assert linear_cross_entropy(hidden_NC, weight_VC, target_N.int()) == expected


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradcheck(reduction: Reduction) -> None:
    hidden_NC, weight_VC, target_N = make_case((6, 4, 5), torch.float64, ignored=True)

    def loss(hidden_NC: Tensor, weight_VC: Tensor) -> Tensor:
        return linear_cross_entropy(hidden_NC, weight_VC, target_N, reduction=reduction)

    assert torch.autograd.gradcheck(loss, (hidden_NC, weight_VC))


def test_losses_too_large_for_a_probability() -> None:
    hidden_NC, weight_VC, target_N = make_case((300, 16, 50), torch.float32)
    case = ((hidden_NC.detach() * 100).requires_grad_(), weight_VC, target_N)
    assert naive(case, reduction="none").max() > 200
    assert_like_naive(case, reduction="none")


def test_vocabulary_that_shrinks_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "_MAX_ELEMENTS", 1000)
    monkeypatch.setattr(reference, "_MAX_ELEMENTS_FORWARD", 500)
    for shape in ((100, 8, 333), (5, 8, 3000)):
        hidden_NC, weight_VC, target_N = make_case(shape, torch.float32)
        assert_like_naive((hidden_NC, weight_VC, target_N))
        with torch.no_grad():
            forward = linear_cross_entropy(hidden_NC, weight_VC, target_N)
        expected = naive((hidden_NC, weight_VC, target_N))
        torch.testing.assert_close(forward, expected.to(forward.dtype))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_every_token_ignored(reduction: Reduction) -> None:
    hidden_NC, weight_VC, target_N = make_case((4, 3, 5), torch.float32)
    target_N.fill_(-100)
    loss = linear_cross_entropy(hidden_NC, weight_VC, target_N, reduction=reduction)
    expected = naive((hidden_NC, weight_VC, target_N), reduction=reduction)
    torch.testing.assert_close(loss.double(), expected, equal_nan=True)
    for gradient in torch.autograd.grad(loss.sum(), (hidden_NC, weight_VC)):
        assert (gradient == 0).all()


def test_no_tokens() -> None:
    hidden_NC, weight_VC, target_N = make_case((0, 3, 5), torch.float32)
    assert linear_cross_entropy(hidden_NC, weight_VC, target_N, reduction="none").shape == (0,)
    loss = linear_cross_entropy(hidden_NC, weight_VC, target_N, reduction="sum")
    assert (torch.autograd.grad(loss, weight_VC)[0] == 0).all()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_backward_twice(reduction: Reduction) -> None:
    hidden_NC, weight_VC, target_N = make_case((300, 8, 33), torch.float32)
    loss = linear_cross_entropy(hidden_NC, weight_VC, target_N, reduction=reduction).sum()
    torch.autograd.backward(loss, retain_graph=True)
    assert weight_VC.grad is not None
    once_VC = weight_VC.grad.clone()
    torch.autograd.backward(loss)
    torch.testing.assert_close(weight_VC.grad, 2 * once_VC, rtol=0, atol=0)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_second_derivative_is_refused(reduction: Reduction) -> None:
    weight_VC = torch.randn(5, 3, requires_grad=True)
    hidden_NC = weight_VC[:2] * 2
    loss = linear_cross_entropy(hidden_NC, weight_VC, torch.tensor([1, 2]), reduction=reduction)
    with pytest.raises(RuntimeError, match=r"no second derivative: .*functional\.cross_entropy"):
        torch.autograd.grad(loss.sum(), weight_VC, create_graph=True)


def test_same_bits_every_time() -> None:
    def run() -> list[Tensor]:
        hidden_NC, weight_VC, target_N = make_case((600, 64, 1001), torch.float32)
        loss = linear_cross_entropy(hidden_NC, weight_VC, target_N)
        return [loss, *torch.autograd.grad(loss, (hidden_NC, weight_VC))]

    for first, second in itertools.pairwise([run(), run(), run()]):
        assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))


def test_autocast_rounds_inputs_as_linear_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "multiplies_bf16", lambda: False)
    hidden_NC, weight_VC, target_N = make_case((40, 16, 50), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss = linear_cross_entropy(hidden_NC, weight_VC, target_N)
        gradients = torch.autograd.grad(loss, (hidden_NC, weight_VC))
    rounded = (hidden_NC.bfloat16(), weight_VC.bfloat16(), target_N)
    torch.testing.assert_close(loss.double(), naive(rounded), rtol=1e-6, atol=0)
    assert [gradient.dtype for gradient in gradients] == [torch.float32, torch.float32]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("hidden_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("native", [False, True])
def test_autocast_with_a_master_weight(
    native: bool, hidden_dtype: torch.dtype, reduction: Reduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As exact as the plain form under autocast, but the weight's gradient isn't rounded to bf16.

    Where the CPU multiplies bf16, each of the 3 chunks' products is; their sum isn't.
    """
    monkeypatch.setattr(reference, "multiplies_bf16", lambda: native)
    hidden_NC, weight_VC, target_N = make_case((600, 32, 301), torch.float32, ignored=True)
    case = (hidden_NC.detach().to(hidden_dtype).requires_grad_(), weight_VC, target_N)
    rounded = (case[0].bfloat16(), weight_VC.bfloat16(), target_N)
    exact = naive(rounded, reduction=reduction)
    exact_gradients = torch.autograd.grad(exact, case[:2], weights_like(exact))
    with torch.autocast("cpu", torch.bfloat16):
        plain = F.cross_entropy(F.linear(*case[:2]).float(), target_N, reduction=reduction)
        found = linear_cross_entropy(*case, reduction=reduction)
    plain_gradients = torch.autograd.grad(plain, case[:2], weights_like(plain))
    gradients = torch.autograd.grad(found, case[:2], weights_like(found))
    assert [gradient.dtype for gradient in gradients] == [hidden_dtype, torch.float32]
    assert not torch.equal(gradients[1], gradients[1].bfloat16().float())
    for ours, theirs, best in zip(
        (found, *gradients), (plain, *plain_gradients), (exact, *exact_gradients), strict=True
    ):
        scale = best.double().abs().max()
        error, peer = ((each - best).double().abs().max() / scale for each in (ours, theirs))
        assert error <= 1.25 * peer + 2**-12


def test_autocast_saves_no_copy_of_the_weight() -> None:
    hidden_NC, weight_VC, target_N = make_case((40, 16, 50), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss: Any = linear_cross_entropy(hidden_NC, weight_VC, target_N, reduction="none")
    assert any(saved is weight_VC for saved in loss.grad_fn.saved_tensors)


def test_compiled_code_may_call_it() -> None:
    case = make_case((300, 8, 33), torch.float32)

    def doubled(hidden_NC: Tensor, weight_VC: Tensor, target_N: Tensor) -> Tensor:
        return 2 * linear_cross_entropy(hidden_NC * 1.5, weight_VC, target_N)

    compiled: Any = torch.compile(doubled, backend="eager")
    found, expected = compiled(*case), doubled(*case)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    for gradient, expected_gradient in zip(
        torch.autograd.grad(found, case[:2]), torch.autograd.grad(expected, case[:2]), strict=True
    ):
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=0)


class Operations(TorchDispatchMode):
    """Records the size of every new tensor, and counts the matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0
        self.products = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, Tensor):
                self.largest = max(self.largest, tensor.numel())
        self.products += func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm_)
        return result


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_logits_are_never_stored(reduction: Reduction) -> None:
    case = make_case((2048, 8, 3000), torch.float32)
    with Operations() as operations:
        loss = linear_cross_entropy(*case, reduction=reduction)
        torch.autograd.grad(loss.sum(), case[:2])
    assert operations.largest == 256 * 3000
    assert operations.products == (24 if reduction != "none" else 8 + 24)


@pytest.mark.parametrize("grad", [True, False])
def test_forward_alone_makes_no_gradients(grad: bool) -> None:
    hidden_NC, weight_VC, target_N = make_case((512, 8, 300), torch.float32)
    if grad:  # gradients are enabled, but nothing wants one
        hidden_NC, weight_VC = hidden_NC.detach(), weight_VC.detach()
    with Operations() as operations, torch.set_grad_enabled(grad):
        loss = linear_cross_entropy(hidden_NC, weight_VC, target_N)
    assert not loss.requires_grad
    assert operations.products == 2


def wrong_inputs() -> list[Any]:
    hidden_NC, weight_VC, target_N = torch.ones(4, 3), torch.ones(5, 3), torch.zeros(4).long()
    return [
        pytest.param(hidden_NC[None], weight_VC, target_N, r"\(1, 4, 3\).*expected", id="3-D"),
        pytest.param(hidden_NC, weight_VC, target_N[None], r"shapes.*\(1, 4\).*expected", id="2-D"),
        pytest.param(hidden_NC, weight_VC[:, :2], target_N, r"\(5, 2\).*expected", id="width"),
        pytest.param(hidden_NC, weight_VC, target_N[:3], r"\(3,\); expected", id="tokens"),
        pytest.param(hidden_NC, weight_VC.double(), target_N, "dtypes.*float64", id="dtypes"),
        pytest.param(hidden_NC.int(), weight_VC.int(), target_N, "floating", id="integers"),
        pytest.param(hidden_NC, weight_VC, target_N.float(), "int32 or int64", id="target"),
        pytest.param(hidden_NC, weight_VC.to("meta"), target_N, "devices.*meta", id="devices"),
        pytest.param(hidden_NC, weight_VC, target_N + 5, "found target 5, expected 0 to 4", id="5"),
        pytest.param(hidden_NC, weight_VC, target_N - 1, "found target -1, expected 0", id="-1"),
    ]


@pytest.mark.parametrize(("hidden_NC", "weight_VC", "target_N", "message"), wrong_inputs())
def test_wrong_input(hidden_NC: Tensor, weight_VC: Tensor, target_N: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        linear_cross_entropy(hidden_NC, weight_VC, target_N)


def test_wrong_reduction() -> None:
    reduction: Any = "avg"
    with pytest.raises(ValueError, match="found reduction 'avg', expected one of"):
        linear_cross_entropy(*make_case((2, 3, 4), torch.float32), reduction=reduction)


def test_works_without_triton() -> None:
    script = """
import sys
sys.modules["triton"] = None
import torch
from curricle.kernels.linear_cross_entropy import linear_cross_entropy
from curricle.kernels.sequence_entropy import sequence_entropy
linear_cross_entropy(torch.ones(2, 3), torch.ones(4, 3), torch.ones(2).long())
sequence_entropy(torch.ones(2, 3).long(), 4)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(("rows", "limit"), [(0, 4), (1, 4), (4, 4), (5, 4), (9, 4), (7, 1)])
def test_row_slices(rows: int, limit: int) -> None:
    slices = reference.row_slices(rows, limit)
    assert [row for part in slices for row in range(rows)[part]] == list(range(rows))
    assert len(slices) == -(-rows // limit)
    assert all(part.stop - part.start <= limit for part in slices)
