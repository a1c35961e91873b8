"""A decoder-only transformer: one module, the families as settings of it.

Shape suffixes: B batch, T positions, C width, E width of the embeddings, V vocabulary.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from curricle.core.families import family_of, has_tied_head, widths_of
from curricle.core.jobs import ModelSpec
from curricle.core.seeds import derive_seed
from curricle.models.blocks import Block, make_norm, rotation
from curricle.models.flops import forward_flops_per_token
from curricle.models.language_model import LanguageModel
from curricle.models.prefix import Prefix


class Decoder(LanguageModel):
    """GPT-2, Pythia, OPT or Llama, as `spec.family` says.

    Dropout draws from torch's global generator, in training mode alone. Raises InputError for a
    shape that the family can't have.
    """

    keeps_prefixes = True

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec, self.family, self.widths = spec, family_of(spec), widths_of(spec)
        self.sequence_length, self.vocabulary_size = spec.sequence_length, spec.vocabulary_size
        self.forward_flops_per_token = forward_flops_per_token(spec)
        self.attention_heads = spec.num_layers * spec.num_heads
        embedding = self.widths.embedding
        self.has_projections = embedding != spec.width
        self.tokens = _embedding(spec.vocabulary_size, embedding)
        if not self.family.rotary_share:
            rows = spec.sequence_length + self.family.position_offset
            self.positions = _embedding(rows, spec.width)
        if self.has_projections:
            self.project_in = nn.Linear(embedding, spec.width, bias=False)
        self.blocks = nn.ModuleList(Block(spec) for _ in range(spec.num_layers))
        self.final_norm = nn.Identity() if spec.post_norm else make_norm(spec)
        if self.has_projections:
            self.project_out = nn.Linear(spec.width, embedding, bias=False)
        if not has_tied_head(spec):
            self.head = nn.Linear(embedding, spec.vocabulary_size, bias=False)

    @property
    def head_weight(self) -> Tensor:
        """The head's matrix (V, E): its own, or that of the token embeddings."""
        return self.tokens.weight if has_tied_head(self.spec) else self.head.weight

    def keep_prefix(self, tokens_P: Tensor) -> Prefix:
        """Keys and values of tokens that several inputs begin with, for `last_hidden`."""
        prefix = Prefix(self.spec.num_layers)
        self.hidden(tokens_P[None], prefix)
        return prefix

    def last_hidden(self, tokens_BT: Tensor, last: int, prefix: Prefix | None = None) -> Tensor:
        """Final hidden states (B, last, E) of the last positions alone; see `hidden`."""
        return self.hidden(tokens_BT, prefix, last)

    def hidden(
        self, tokens_BT: Tensor, prefix: Prefix | None = None, last: int | None = None
    ) -> Tensor:
        """Final hidden states (B, T, E) of token ids (B, T), those of `prefix` before them.

        With `last` those of so many last positions alone. Raises InputError for more tokens than
        the model has positions.
        """
        start = prefix.length if prefix else 0
        end = start + tokens_BT.shape[1]
        self.check_length(end)
        positions_T = torch.arange(start, end, device=tokens_BT.device)
        x_BTC, by = self.tokens(tokens_BT), None
        if self.has_projections:
            x_BTC = self.project_in(x_BTC)
        if self.family.rotary_share:
            by = rotation(positions_T, self.widths.rotary, self.spec.rotary_base)
        else:
            x_BTC = x_BTC + self.positions(positions_T + self.family.position_offset)
        if self.family.embedding_dropout:
            x_BTC = F.dropout(x_BTC, self.spec.dropout, self.training)
        layers = prefix.layers if prefix else [None] * len(self.blocks)
        for block, layer in zip(self.blocks, layers, strict=True):
            x_BTC = block(x_BTC, by, layer, last if block is self.blocks[-1] else None)
        out: Tensor = self.final_norm(x_BTC)
        return self.project_out(out) if self.has_projections else out


def _embedding(rows: int, width: int) -> nn.Embedding:
    """A table whose values whoever makes the model sets.

    torch would draw them, and to draw on the meta device it imports its compiler: 1.2 s a process.
    """
    return nn.Embedding(rows, width, _weight=torch.empty(rows, width))


def build_model(spec: ModelSpec, seed: int) -> Decoder:
    """A freshly initialised model: the same weights for the same seed, on every device.

    Matrices are drawn from normal distributions (see `initial_std`), biases are zero, norms one.
    """
    model = Decoder(spec)
    generator = torch.Generator().manual_seed(derive_seed(seed, "initialisation"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2:
                is_output = name.endswith("projection.weight")
                std = initial_std(spec, is_output=is_output)
                parameter.normal_(0.0, std, generator=generator)
            elif name.endswith("bias"):
                parameter.zero_()
    return model


def initial_std(spec: ModelSpec, *, is_output: bool) -> float:
    """Standard deviation of a fresh matrix; `is_output` if it writes into the residual stream.

    gpt2: 0.02, outputs divided by sqrt(2 * layers). opt: 0.006, likewise (arXiv 2205.01068, 2.1).
    pythia: GPT-NeoX's small_init, sqrt(2 / (5 * width)) (arXiv 1910.05895), outputs by its
    wang_init, 2 / (layers * sqrt(width)). llama: not in its papers; 0.02 throughout, the
    `initializer_range` of its released configurations. All times the spec's `initial_scale`.
    """
    layers, width, scale = spec.num_layers, spec.width, spec.initial_scale
    if spec.family == "pythia":
        std = 2 / (layers * math.sqrt(width)) if is_output else math.sqrt(2 / (5 * width))
        return scale * std
    std = scale * (0.006 if spec.family == "opt" else 0.02)
    scaled = is_output and spec.family != "llama"
    return std / math.sqrt(2 * layers) if scaled else std


def count_parameters(model: nn.Module) -> int:
    """Number of distinct trainable parameters; tied ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())
