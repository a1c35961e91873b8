from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import GPT2Config, GPT2LMHeadModel

from curricle.core.errors import InputError
from curricle.core.jobs import ModelSpec
from curricle.models.decoder import Decoder, build_model, count_parameters
from curricle.models.flops import forward_flops_per_token

# Hugging Face's name of each of our tensors; its Conv1D stores matrices transposed.
BLOCK = {
    "attention_norm": "ln_1",
    "attention.qkv": "attn.c_attn",
    "attention.projection": "attn.c_proj",
    "feed_forward_norm": "ln_2",
    "feed_forward.expand": "mlp.c_fc",
    "feed_forward.projection": "mlp.c_proj",
}


def hugging_face_twin(model: Decoder) -> GPT2LMHeadModel:
    """The same weights in Hugging Face's GPT-2: the independent implementation to compare with."""
    spec = model.spec
    config = GPT2Config(
        vocab_size=spec.vocabulary_size,
        n_positions=spec.sequence_length,
        n_embd=spec.width,
        n_layer=spec.num_layers,
        n_head=spec.num_heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    twin = GPT2LMHeadModel(config).eval()
    ours = model.state_dict()
    theirs = {
        "transformer.wte.weight": ours["tokens.weight"],
        "transformer.wpe.weight": ours["positions.weight"],
        "transformer.ln_f.weight": ours["final_norm.weight"],
        "transformer.ln_f.bias": ours["final_norm.bias"],
        "lm_head.weight": ours["tokens.weight"],
    }
    for layer in range(spec.num_layers):
        for our_name, their_name in BLOCK.items():
            for part in ("weight", "bias"):
                tensor = ours[f"blocks.{layer}.{our_name}.{part}"]
                tensor = tensor.T if tensor.dim() == 2 else tensor
                theirs[f"transformer.h.{layer}.{their_name}.{part}"] = tensor.contiguous()
    missing, unexpected = twin.load_state_dict(theirs, strict=False)
    assert not unexpected
    assert all("attn.bias" in name or "masked_bias" in name for name in missing)
    return twin


@pytest.fixture
def model(model_spec: ModelSpec) -> Decoder:
    model = build_model(model_spec, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms away from their neutral values
            parameter.add_(
                0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
            )
    return model


@pytest.fixture
def windows(model_spec: ModelSpec) -> torch.Tensor:
    shape = (3, model_spec.sequence_length + 1)
    generator = torch.Generator().manual_seed(2)
    return torch.randint(model_spec.vocabulary_size, shape, generator=generator)


def test_logits_and_losses_equal_hugging_faces(model: Decoder, windows: torch.Tensor) -> None:
    with torch.no_grad():
        theirs = hugging_face_twin(model)(windows[:, :-1]).logits
        ours = model.logits(model.hidden(windows[:, :-1]))
        losses = F.cross_entropy(theirs.flatten(0, 1), windows[:, 1:].flatten(), reduction="none")
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            model.token_losses(windows), losses.view(3, -1), atol=1e-5, rtol=1e-5
        )
        torch.testing.assert_close(model(windows), losses.mean(), atol=1e-5, rtol=1e-5)


def test_gradients_equal_hugging_faces(model: Decoder, windows: torch.Tensor) -> None:
    twin = hugging_face_twin(model)
    logits = twin(windows[:, :-1]).logits
    F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()).backward()
    model(windows).backward()
    embedding = twin.transformer.wte.weight.grad
    expand = twin.get_parameter("transformer.h.1.mlp.c_fc.weight").grad
    block = model.blocks[1]
    assert isinstance(embedding, torch.Tensor)
    assert isinstance(expand, torch.Tensor)
    torch.testing.assert_close(model.tokens.weight.grad, embedding, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        block.get_parameter("feed_forward.expand.weight").grad, expand.T, atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(("layers", "width", "heads"), [(2, 64, 2), (4, 128, 4), (3, 96, 3)])
def test_parameter_counts_equal_hugging_faces(layers: int, width: int, heads: int) -> None:
    spec = ModelSpec(
        family="gpt2",
        num_layers=layers,
        width=width,
        num_heads=heads,
        vocabulary_size=1000,
        sequence_length=128,
    )
    config = GPT2Config(
        vocab_size=1000, n_positions=128, n_embd=width, n_layer=layers, n_head=heads
    )
    expected = GPT2LMHeadModel(config).num_parameters()
    assert count_parameters(Decoder(spec)) == expected


def test_flops_equal_a_count_of_the_products(model_spec: ModelSpec) -> None:
    model = build_model(model_spec, seed=0)
    tokens = torch.zeros(2, model_spec.sequence_length, dtype=torch.long)
    # The counter knows attention in its plain form alone and, like ours, takes it in full.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.logits(model.hidden(tokens))
    assert counter.get_total_flops() == tokens.numel() * forward_flops_per_token(model_spec)


def test_the_seed_decides_the_weights(model_spec: ModelSpec) -> None:
    first, again, other = (build_model(model_spec, seed) for seed in (0, 0, 1))
    assert torch.equal(first.tokens.weight, again.tokens.weight)
    assert not torch.equal(first.tokens.weight, other.tokens.weight)
    assert first.tokens.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_no_position_sees_the_future(model: Decoder, windows: torch.Tensor) -> None:
    changed = windows.clone()
    changed[:, 7:] = 0
    with torch.no_grad():
        torch.testing.assert_close(
            model.hidden(windows[:, :-1])[:, :7], model.hidden(changed[:, :-1])[:, :7]
        )


def test_an_unknown_family_is_refused(model_spec: ModelSpec) -> None:
    with pytest.raises(InputError, match="family 'bert'"):
        Decoder(replace(model_spec, family="bert"))
