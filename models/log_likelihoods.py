"""Log-likelihoods of continuations after contexts, without computing anything twice.

Requests with the same input (the four letters, where each is one token) share a forward pass, the
tokens that all inputs begin with (few-shot examples) are read once, and the head is applied at the
positions that are asked for.

Shape suffixes: B batch, T positions, N = B * T, C width, E tokens that are asked for, U different
places where, V vocabulary.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from curricle.core.errors import InputError
from curricle.models.encoding import common_length, encode_pairs
from curricle.models.interruption import note_progress
from curricle.models.language_model import LanguageModel

BATCH_TOKENS = {"cpu": 2048, "cuda": 16384}
# A token takes about ten vectors of the model's width in a layer. A prefix's keys and values are
# copied for each row: two for each of its tokens.
_PREFIX_SHARE = 5
_PLACES_AT_ONCE = 64

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Tokens = tuple[int, ...]


class Request(NamedTuple):
    """The input whose last positions predict `targets`, and whether it was cut on the left."""

    tokens: Tokens
    targets: Tokens
    is_cut: bool

    @property
    def fits(self) -> bool:
        """Whether the model can read all of the targets at once."""
        return len(self.targets) <= len(self.tokens)


class Scores(NamedTuple):
    """Of each request: its targets' summed log-likelihood in nats (NaN if one is), and whether the
    model finds each of them the likeliest token.
    """

    log_likelihood: Floats
    is_greedy: npt.NDArray[np.bool_]


class Part(NamedTuple):
    """Inputs that share a prefix, and all begin with it; longest last."""

    prefix: Tokens
    inputs: list[Tokens]

    @property
    def tokens(self) -> int:
        """Tokens that the model reads."""
        return len(self.prefix) + sum(len(each) - len(self.prefix) for each in self.inputs)


def make_requests(
    tokenizer: Tokenizer, texts: Sequence[tuple[str, str]], sequence_length: int
) -> list[Request]:
    """Requests for (context, continuation) pairs of texts, as lm-evaluation-harness makes them.

    The continuation's tokens are those of the whole text beyond the number of tokens of the context
    by itself. Of inputs longer than `sequence_length` the last tokens are kept.

    Raises InputError for a continuation without a token of its own.
    """
    requests = []
    for (_, continuation), (boundary, ids) in zip(
        texts, encode_pairs(tokenizer, texts), strict=True
    ):
        if len(ids) <= boundary:
            raise InputError(
                f"{continuation!r} has no token of its own after the prompt",
                expected="a tokenizer that doesn't merge an answer with the prompt",
                fix="evaluate with the model's own tokenizer",
            )
        requests.append(make_request(ids[:boundary], ids[boundary:], sequence_length))
    return requests


def make_request(context: Sequence[int], targets: Sequence[int], sequence_length: int) -> Request:
    """The request for tokens after a context of at least one token."""
    tokens = (*context, *targets)[:-1]
    return Request(tokens[-sequence_length:], tuple(targets), len(tokens) > sequence_length)


def split_by_prefix(requests: Sequence[Request], *, keeps_prefixes: bool) -> list[Part]:
    """The distinct inputs of `requests`: those that fit and share a prefix, and all others.

    A prefix ends before the first position that is asked for. Cut inputs begin anywhere.
    """
    fitting = [request for request in requests if keeps_prefixes and not request.is_cut]
    distinct = {request.tokens for request in fitting}
    prefix: Tokens = ()
    if len(distinct) > 1:
        shared = common_length(min(distinct), max(distinct))
        asked = min(len(request.tokens) - len(request.targets) for request in fitting)
        prefix = min(distinct)[: min(shared, asked)]
    others = {request.tokens for request in requests} - (distinct if prefix else set())
    parts = [Part(prefix, sorted(distinct, key=len))] if prefix else []
    return [*parts, Part((), sorted(others, key=len))] if others else parts


@torch.no_grad()
def score(model: LanguageModel, requests: Sequence[Request]) -> Scores:
    """Log-likelihood of each request's targets. The model computes on its own device.

    Raises InputError for one that doesn't fit.
    """
    _check_fit(model, requests)
    askers: dict[Tokens, list[int]] = defaultdict(list)
    for index, request in enumerate(requests):
        askers[request.tokens].append(index)
    scores = Scores(np.zeros(len(requests)), np.ones(len(requests), dtype=np.bool_))
    device = model.head_weight.device
    for part in split_by_prefix(requests, keeps_prefixes=model.keeps_prefixes):
        kept = torch.tensor(part.prefix, device=device)
        prefix = model.keep_prefix(kept) if part.prefix else None
        for batch in _batches(part, BATCH_TOKENS[device.type]):
            note_progress()
            padded_BT = _pad([tokens[len(kept) :] for tokens in batch]).to(device)
            owner_E, place_E, target_E, last = _asked(batch, askers, requests)
            hidden_BTC = model.last_hidden(padded_BT, last, prefix)
            found = _score_places(model, hidden_BTC.flatten(0, 1), place_E, target_E)
            np.add.at(scores.log_likelihood, owner_E, found.log_likelihood)
            np.logical_and.at(scores.is_greedy, owner_E, found.is_greedy)
    return scores


def _asked(
    batch: Sequence[Tokens], askers: Mapping[Tokens, Sequence[int]], requests: Sequence[Request]
) -> tuple[Integers, Integers, Integers, int]:
    """Request, place and target of whatever is asked of a batch, and how many last positions.

    Places count through the last positions of the padded rows, one row after the other.
    """
    width = len(batch[-1])
    asked = [
        (index, row, width - len(tokens) + back, target)
        for row, tokens in enumerate(batch)
        for index in askers[tokens]
        for back, target in enumerate(reversed(requests[index].targets), start=1)
    ]
    owner_E, row_E, back_E, target_E = np.array(asked).T
    last = int(back_E.max())
    return owner_E, (row_E + 1) * last - back_E, target_E, last


def _check_fit(model: LanguageModel, requests: Sequence[Request]) -> None:
    for request in requests:
        if not request.fits:
            raise InputError(
                f"an answer of {len(request.targets)} tokens for a model of "
                f"{model.sequence_length} positions",
                expected="a context that holds the answer at least",
                fix="take a model with a longer context",
            )


def _pad(inputs: Sequence[Tokens]) -> Tensor:
    """Token ids (B, T), zeros after the shorter ones."""
    padded_BT = torch.zeros(len(inputs), max(map(len, inputs)), dtype=torch.long)
    for row, tokens in enumerate(inputs):
        padded_BT[row, : len(tokens)] = torch.tensor(tokens)
    return padded_BT


def _score_places(
    model: LanguageModel, hidden_NC: Tensor, place_E: Integers, target_E: Integers
) -> Scores:
    """Each target after the hidden state at its place.

    A place goes through the head once, and few at a time: the logits are the largest tensor here.
    """
    place_U, position_E = np.unique(place_E, return_inverse=True)
    scores = Scores(np.zeros(len(place_E)), np.zeros(len(place_E), dtype=np.bool_))
    for start in range(0, len(place_U), _PLACES_AT_ONCE):
        here = (position_E >= start) & (position_E < start + _PLACES_AT_ONCE)
        rows = torch.from_numpy(place_U[start : start + _PLACES_AT_ONCE]).to(hidden_NC.device)
        log_probability_UV = model.logits(hidden_NC[rows]).float().log_softmax(-1)
        position = torch.from_numpy(position_E[here] - start).to(rows.device)
        target = torch.from_numpy(target_E[here]).to(rows.device)
        scores.log_likelihood[here] = log_probability_UV[position, target].cpu().numpy()
        best = log_probability_UV.argmax(-1)[position]
        scores.is_greedy[here] = (best == target).cpu().numpy()
    return scores


def _batches(part: Part, budget: int) -> Iterator[list[Tokens]]:
    """The part's inputs, shorter ones first, padded to the memory of at most `budget` tokens.

    The prefix counts in each row, its tokens less than those after it.
    """
    batch: list[Tokens] = []
    shared = len(part.prefix)
    for tokens in part.inputs:
        taken = len(tokens) - shared + -(-shared // _PREFIX_SHARE)
        if batch and (len(batch) + 1) * taken > budget:
            yield batch
            batch = []
        batch.append(tokens)
    if batch:
        yield batch
