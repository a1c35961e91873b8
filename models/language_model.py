"""What every language model here can do, be it a `Decoder` or one of Hugging Face's.

Shape suffixes: B batch, T positions, P those of a prefix, C width of the hidden states, V words.
"""

import abc

from torch import Tensor, nn
from torch.nn import functional as F

from curricle.core.errors import InputError
from curricle.kernels.linear_cross_entropy import linear_cross_entropy
from curricle.models.prefix import Prefix


class LanguageModel(nn.Module, abc.ABC):
    """A causal language model whose head is one matrix; evaluation and scoring need no more.

    Subclasses provide `hidden` and `head_weight`, and set `sequence_length` (the most tokens that
    it reads at once), `vocabulary_size` and `forward_flops_per_token` (at full length, with head).
    Those that set `keeps_prefixes` also provide `keep_prefix` and their own `last_hidden`.
    `attention_heads` are those of all layers together, 0 where that isn't known.
    """

    sequence_length: int
    vocabulary_size: int
    forward_flops_per_token: int
    attention_heads = 0
    keeps_prefixes = False

    @property
    @abc.abstractmethod
    def head_weight(self) -> Tensor:
        """The head's matrix, shape (V, C)."""

    @abc.abstractmethod
    def hidden(self, tokens_BT: Tensor) -> Tensor:
        """Final hidden states (B, T, C) of token ids (B, T), T at most `sequence_length`."""

    def keep_prefix(self, tokens_P: Tensor) -> Prefix:
        """What `last_hidden` needs of tokens that several inputs begin with."""
        raise NotImplementedError(f"{type(self).__name__} keeps no prefixes")

    def last_hidden(self, tokens_BT: Tensor, last: int, prefix: Prefix | None = None) -> Tensor:
        """Final hidden states (B, last, C) of the last positions of token ids (B, T).

        A kept `prefix` comes before them, which only a model that keeps prefixes can be given.
        """
        assert prefix is None
        return self.hidden(tokens_BT)[:, -last:]

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (..., V) of hidden states (..., C)."""
        return F.linear(hidden, self.head_weight)

    def forward(self, windows_BT1: Tensor) -> Tensor:
        """Mean next-token loss, in nats, over windows of T + 1 token ids; differentiable once."""
        hidden_NC = self.hidden(windows_BT1[:, :-1]).flatten(0, 1)
        return linear_cross_entropy(hidden_NC, self.head_weight, windows_BT1[:, 1:].flatten())

    def token_losses(self, windows_BT1: Tensor) -> Tensor:
        """Next-token losses (B, T), in nats, of windows of T + 1 token ids."""
        targets_BT = windows_BT1[:, 1:]
        hidden_NC = self.hidden(windows_BT1[:, :-1]).flatten(0, 1)
        loss_N = linear_cross_entropy(
            hidden_NC, self.head_weight, targets_BT.flatten(), reduction="none"
        )
        return loss_N.view(targets_BT.shape)

    def check_length(self, length: int) -> None:
        """Raise InputError if `length` tokens are more than the model reads at once."""
        if length > self.sequence_length:
            raise InputError(
                f"{length} tokens for a model of {self.sequence_length} positions",
                expected=f"at most {self.sequence_length}",
                fix="shorten the sequences, or take a model with more positions",
            )

    def check_vocabulary(self, size: int, place: str) -> None:
        """Raise InputError if `place` (a dataset, a tokenizer) has more tokens than the model."""
        if size > self.vocabulary_size:
            raise InputError(
                f"{place} with a vocabulary of {size} for a model of {self.vocabulary_size}",
                expected="the vocabulary that the model was made for",
                fix="tokenize with the model's own tokenizer, or take another model",
            )
