import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.models.model_zoo import LENGTH, SPECS, lively_model, token_batches
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from curricle.core.errors import InputError
from curricle.core.jobs import ModelSpec
from curricle.core.model_size import parameters
from curricle.core.presets import PRESETS
from curricle.models.decoder import Decoder, build_model, count_parameters
from curricle.models.flops import approximate_training_flops_per_token, forward_flops_per_token
from curricle.models.huggingface.configs import config_of
from curricle.models.huggingface.weights import counterpart


@pytest.fixture(params=SPECS)
def model(request: pytest.FixtureRequest) -> Decoder:
    return lively_model(SPECS[request.param])


@pytest.fixture
def windows() -> Tensor:
    return token_batches()["real"]


def in_transformers(spec: ModelSpec) -> Any:
    """Hugging Face's model of the same shape: the independent implementation to compare with."""
    config = AutoConfig.for_model(**{**config_of(spec), "pad_token_id": None})
    return AutoModelForCausalLM.from_config(config)


def twin_of(model: Decoder) -> Any:
    """Hugging Face's model with the same weights."""
    theirs: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        theirs |= counterpart(model.spec, name).to_theirs(tensor)
    theirs.pop("embed_out.weight", None)  # lm_head in this version of transformers
    twin = in_transformers(model.spec)
    twin.load_state_dict({**theirs, "lm_head.weight": model.head_weight})
    return twin


def test_loss_and_gradients_equal_hugging_faces(model: Decoder, windows: Tensor) -> None:
    twin = twin_of(model)
    logits = twin(windows[:, :-1]).logits
    expected = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
    expected.backward()
    loss = model(windows)
    loss.backward()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    theirs = {name: parameter.grad for name, parameter in twin.named_parameters()}
    for name, parameter in model.named_parameters():
        place = counterpart(model.spec, name)
        names = [one.replace("embed_out", "lm_head") for one in place.names]
        gradient = place.to_ours([theirs[one] for one in names])
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", PRESETS)
def test_parameter_counts_equal_hugging_faces(name: str) -> None:
    with torch.device("meta"):
        theirs, ours = in_transformers(PRESETS[name]), Decoder(PRESETS[name])
    assert count_parameters(ours) == parameters(PRESETS[name]) == theirs.num_parameters()


def test_variants_are_counted_too(model: Decoder) -> None:
    assert count_parameters(model) == parameters(model.spec)


def test_flops_equal_a_count_of_the_products(model: Decoder, windows: Tensor) -> None:
    tokens = windows[:, :-1]
    # The counter knows attention in its plain form alone and, like ours, takes it in full.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.logits(model.hidden(tokens))
    assert counter.get_total_flops() == tokens.numel() * forward_flops_per_token(model.spec)


def test_six_n_takes_the_published_non_embedding_parameters() -> None:
    assert approximate_training_flops_per_token(PRESETS["Pythia-70M"]) == 6 * 18_915_328


def test_the_seed_decides_the_weights(model_spec: ModelSpec) -> None:
    first, again, other = (build_model(model_spec, seed) for seed in (0, 0, 1))
    assert torch.equal(first.tokens.weight, again.tokens.weight)
    assert not torch.equal(first.tokens.weight, other.tokens.weight)


@pytest.mark.parametrize(
    ("family", "inner", "output"),
    [
        ("gpt2", 0.02, 0.02 / math.sqrt(8)),
        ("pythia", math.sqrt(2 / (5 * 128)), 2 / (4 * math.sqrt(128))),
        ("opt", 0.006, 0.006 / math.sqrt(8)),
        ("llama", 0.02, 0.02),
    ],
)
def test_fresh_weights_spread_as_published(family: str, inner: float, output: float) -> None:
    spec = replace(SPECS["gpt2"], family=family, num_layers=4, width=128, num_heads=2)
    model = build_model(spec, seed=0)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            expected = output if name.endswith("projection.weight") else inner
            assert parameter.std().item() == pytest.approx(expected, rel=0.04), name
            assert abs(parameter.mean().item()) < 5 * expected / parameter.numel() ** 0.5, name
        else:
            assert torch.equal(parameter, torch.full_like(parameter, "bias" not in name)), name


def test_no_position_sees_the_future(model: Decoder, windows: Tensor) -> None:
    changed = windows.clone()
    changed[:, 7:] = 0
    with torch.no_grad():
        torch.testing.assert_close(
            model.hidden(windows[:, :-1])[:, :7], model.hidden(changed[:, :-1])[:, :7]
        )


@pytest.mark.parametrize("name", SPECS)
def test_dropout_acts_where_hugging_faces_does(name: str, windows: Tensor) -> None:
    spec = replace(SPECS[name], dropout=0.25)
    ours, theirs = DropoutSites(), DropoutSites()
    with ours:
        build_model(spec, seed=0).train().hidden(windows[:, :-1])
    with theirs:
        in_transformers(spec).train()(windows[:, :-1])
    assert ours.seen == theirs.seen


class DropoutSites(TorchFunctionMode):
    """Counts the calls that drop anything, on tensors and in attention."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = {"tensor": 0, "attention": 0}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.dropout and kwargs.get("training", args[-1]) is True:
            self.seen["tensor"] += kwargs.get("p", args[1] if len(args) > 1 else 0.0) == 0.25
        if func is F.scaled_dot_product_attention:
            self.seen["attention"] += kwargs["dropout_p"] == 0.25
        return func(*args, **kwargs)


def test_dropout_acts_in_training_alone(model: Decoder, windows: Tensor) -> None:
    dropping = Decoder(replace(model.spec, dropout=0.5))
    dropping.load_state_dict(model.state_dict())
    assert torch.equal(dropping.eval()(windows), model(windows))
    torch.manual_seed(0)
    first, other = dropping.train()(windows), dropping(windows)
    torch.manual_seed(0)
    assert torch.equal(dropping(windows), first)
    assert not torch.equal(first, other)
    assert torch.equal(model.train()(windows), model.eval()(windows))


@pytest.mark.parametrize("name", ["gpt2", "pythia", "opt-post-norm", "llama-grouped"])
def test_hidden_compiles_in_one_piece(name: str, windows: Tensor) -> None:
    model = lively_model(SPECS[name])
    compiled = torch.compile(model.hidden, fullgraph=True, backend="eager")
    # Compiled code takes torch's attention, which rounds differently.
    expected = model.hidden(windows[:, :-1])
    torch.testing.assert_close(compiled(windows[:, :-1]), expected, atol=1e-5, rtol=1e-5)


def test_hidden_runs_in_bf16(model: Decoder, windows: Tensor) -> None:
    exact = model(windows)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(windows)
    assert rounded.item() == pytest.approx(exact.item(), rel=0.02)
    rounded.backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(one is not None and one.dtype == torch.float32 for one in gradients)
    half = model.to(torch.bfloat16).hidden(windows[:, :-1])
    assert half.dtype == torch.bfloat16


def test_more_tokens_than_positions_are_refused(model: Decoder) -> None:
    with pytest.raises(InputError, match=r"49 tokens for a model of 48 positions, expected at"):
        model.hidden(torch.zeros(1, LENGTH + 1, dtype=torch.long))


def test_a_larger_vocabulary_is_refused(model: Decoder) -> None:
    model.check_vocabulary(320, "dataset")
    with pytest.raises(InputError, match=r"dataset with a vocabulary of 321 for a model of 320"):
        model.check_vocabulary(321, "dataset")
