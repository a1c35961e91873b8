"""Any causal language model of Hugging Face's behind our interface."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from curricle.core.errors import InputError, IntegrityError
from curricle.models.huggingface.files import CONFIG, check_readable, weight_files
from curricle.models.huggingface.importing import import_model, read_config, why_unknown
from curricle.models.language_model import LanguageModel

# Names under which configurations keep the most tokens that a model reads at once.
LENGTHS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
# For models without such a limit: room for the longest prompts of common evaluations.
LENGTH_WITHOUT_LIMIT = 2048


def load_hugging_face(folder: Path) -> LanguageModel:
    """The model in a Hugging Face folder, as a `Decoder` where that can express it.

    Raises InputError and IntegrityError as `import_model` does, and for a model that transformers
    can't load without running code of the model's own.
    """
    if why_unknown(read_config(folder)) is None:
        return import_model(folder)
    check_readable(weight_files(folder))
    from transformers import AutoModelForCausalLM

    models: Any = AutoModelForCausalLM
    try:
        model, loaded = models.from_pretrained(
            str(folder),
            output_loading_info=True,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    except Exception as error:  # transformers raises whatever comes up
        reason = " ".join(str(error).split())
        raise IntegrityError(f"{folder}: transformers can't load it: {reason}") from None
    # Transformers only warns of them, and draws them at random.
    if missing := sorted(loaded["missing_keys"]):
        raise IntegrityError(f"{folder}: no tensor {missing[0]} in its safetensors files")
    if model.get_output_embeddings() is None:
        raise _without_plain_head(folder)
    return HuggingFaceModel(model, folder).eval()


class HuggingFaceModel(LanguageModel):
    """A causal language model of transformers', run in its own code.

    Where its head has a bias, that is one more column of the matrix and the hidden states end in
    a 1. `forward_flops_per_token` leaves out attention's products. Raises InputError, after a try
    on a few tokens, for logits that aren't a linear map of the hidden states (capped or scaled).
    """

    def __init__(self, model: Any, folder: Path) -> None:
        super().__init__()
        self.model = model
        found = (getattr(model.config, name, None) for name in LENGTHS)
        self.sequence_length = next((length for length in found if length), LENGTH_WITHOUT_LIMIT)
        self.vocabulary_size = self._head.weight.shape[0]
        self.forward_flops_per_token = 2 * _product_parameters(model)
        layers = getattr(model.config, "num_hidden_layers", 0)
        self.attention_heads = layers * getattr(model.config, "num_attention_heads", 0)
        self._check_head(folder)

    @property
    def _head(self) -> Any:
        return self.model.get_output_embeddings()

    @property
    def _bias(self) -> Tensor | None:
        return getattr(self._head, "bias", None)

    @property
    def head_weight(self) -> Tensor:
        """The head's matrix, shape (V, C), its bias as the last column."""
        weight: Tensor = self._head.weight
        return weight if self._bias is None else torch.cat([weight, self._bias[:, None]], dim=1)

    def hidden(self, tokens_BT: Tensor) -> Tensor:
        """Final hidden states (B, T, C) of token ids (B, T)."""
        self.check_length(tokens_BT.shape[1])
        out: Tensor = self.model.base_model(input_ids=tokens_BT, use_cache=False)[0]
        return out if self._bias is None else F.pad(out, (0, 1), value=1.0)

    @torch.no_grad()
    def _check_head(self, folder: Path) -> None:
        tokens_BT = torch.arange(min(8, self.vocabulary_size, self.sequence_length))[None]
        expected = self.model(input_ids=tokens_BT).logits
        if not torch.allclose(self.logits(self.hidden(tokens_BT)), expected, atol=1e-4, rtol=1e-4):
            raise _without_plain_head(folder)


def _without_plain_head(folder: Path) -> InputError:
    return InputError(
        f"{folder / CONFIG}: logits that are no linear map of the last hidden states",
        expected="a causal language model with a plain output head",
        fix="choose another model",
    )


def _product_parameters(model: Any) -> int:
    """Parameters that take part in matrix products: all but an untied table of tokens."""
    table, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    everything: int = sum(parameter.numel() for parameter in model.parameters())
    return everything - (0 if table is head else int(table.numel()))
