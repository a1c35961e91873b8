"""Scores of continuations against one sequence at a time, and against what must not be reused."""

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from curricle.core.errors import InputError
from curricle.core.jobs import ModelSpec
from curricle.models import log_likelihoods
from curricle.models.decoder import Decoder, build_model
from curricle.models.language_model import LanguageModel
from curricle.models.log_likelihoods import (
    Request,
    make_request,
    make_requests,
    score,
    split_by_prefix,
)
from curricle.models.prefix import Prefix

VOCABULARY = 300


def build(length: int, family: str = "gpt2") -> Decoder:
    spec = ModelSpec(
        family=family,
        num_layers=2,
        width=16,
        num_heads=2,
        vocabulary_size=VOCABULARY,
        sequence_length=length,
    )
    model = build_model(spec, seed=0).eval()
    with torch.no_grad():  # far enough from zero for differences between tokens to count
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


class Wrapper(LanguageModel):
    """A model that can't keep prefixes, such as one that runs in foreign code."""

    def __init__(self, inner: Decoder) -> None:
        super().__init__()
        self.inner, self.sequence_length = inner, inner.sequence_length

    @property
    def head_weight(self) -> torch.Tensor:
        return self.inner.head_weight

    def hidden(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        return self.inner.hidden(tokens_BT)


def pairs_with_a_shared_beginning() -> list[tuple[list[int], list[int]]]:
    draw = np.random.default_rng(0)
    beginning = draw.integers(VOCABULARY, size=12).tolist()
    sizes = [(5, 1), (3, 1), (5, 3), (20, 1), (40, 1), (7, 6), (3, 17)]
    pairs = [
        (beginning + draw.integers(VOCABULARY, size=a).tolist(), draw.integers(VOCABULARY, size=b))
        for a, b in sizes
    ]
    found = [(context, continuation.tolist()) for context, continuation in pairs]
    return found + [(found[0][0], [token]) for token in range(4)]  # one context, four continuations


def direct(model: LanguageModel, context: list[int], continuation: list[int]) -> tuple[float, bool]:
    """One sequence at a time, cut on the left as lm-evaluation-harness cuts it."""
    inputs = (context + continuation)[-(model.sequence_length + 1) :][:-1]
    with torch.no_grad():
        logits = model.logits(model.hidden(torch.tensor([inputs])))[0].log_softmax(-1)
    tail = logits[-len(continuation) :]
    value = sum(tail[i, token].item() for i, token in enumerate(continuation))
    return value, tail.argmax(-1).tolist() == continuation


@pytest.mark.parametrize("family", ["gpt2", "pythia", "opt", "llama"])
@pytest.mark.parametrize("keeps_prefixes", [True, False])
@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_scores_equal_a_direct_computation(
    family: str, keeps_prefixes: bool, batch_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(log_likelihoods.BATCH_TOKENS, "cpu", batch_tokens)
    inner = build(length=30, family=family)
    model = inner if keeps_prefixes else Wrapper(inner)
    pairs = pairs_with_a_shared_beginning()
    best = torch.tensor([pairs[0][0]])
    pairs.append((pairs[0][0], [int(inner.logits(inner.hidden(best))[0, -1].argmax())]))
    found = score(model, [make_request(*pair, 30) for pair in pairs])
    expected = [direct(model, *pair) for pair in pairs]
    np.testing.assert_allclose(found.log_likelihood, [value for value, _ in expected], atol=1e-4)
    assert found.is_greedy.tolist() == [greedy for _, greedy in expected]
    assert found.is_greedy[-1]


def test_the_prefix_is_read_once_and_the_cut_inputs_whole() -> None:
    requests = [make_request(*pair, 30) for pair in pairs_with_a_shared_beginning()]
    shared, others = split_by_prefix(requests, keeps_prefixes=True)
    assert shared.prefix == requests[0].tokens[:12]
    assert {len(tokens) for tokens in others.inputs} == {30}  # cut on the left
    assert sum(request.is_cut for request in requests) == len(others.inputs) == 3
    assert shared.tokens == 12 + (5 + 3 + 7 + 12)  # the four continuations' input counts once
    (whole,) = split_by_prefix(requests, keeps_prefixes=False)
    assert whole.prefix == ()


def test_a_long_prefix_leaves_room_for_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row copies its keys and values, two of the ten vectors that another token takes."""
    monkeypatch.setitem(log_likelihoods.BATCH_TOKENS, "cpu", 100)
    model, rows = build(length=200), []
    read = model.last_hidden

    def last_hidden(tokens_BT: torch.Tensor, last: int, prefix: Prefix | None) -> torch.Tensor:
        assert prefix is not None
        rows.append((len(tokens_BT), tokens_BT.shape[1], prefix.length))
        return read(tokens_BT, last, prefix)

    monkeypatch.setattr(model, "last_hidden", last_hidden)
    for length in (10, 150):
        requests = [make_request([*range(length), i, i], [1], 200) for i in range(60)]
        score(model, requests)
    assert rows[0] == (25, 2, 10)  # two tokens more, and two for the prefix
    assert rows[-1] == (3, 2, 150)
    assert all(count * (10 * new + 2 * kept) <= 10 * 100 for count, new, kept in rows)


def test_a_prefix_ends_before_the_first_asked_position() -> None:
    requests = [Request((1, 2, 3, 4), (9, 9, 9), False), Request((1, 2, 3, 4, 5), (9,), False)]
    (part,) = split_by_prefix(requests, keeps_prefixes=True)
    assert part.prefix == (1,)


def test_weights_that_are_not_numbers_give_nan() -> None:
    model = build(length=30)
    with torch.no_grad():
        model.tokens.weight[5] = float("nan")
    found = score(model, [make_request([1, 5], [2], 30), make_request([1, 2, 3], [4], 30)])
    assert np.isnan(found.log_likelihood).all()  # token 5 also stands in the head


def blanks_and_letters() -> Tokenizer:
    """ " A" is two tokens; a blank line is one token at the end of a text and two within it."""
    words = {"[UNK]": 0, "A": 1, "B": 2, "\n": 3, "\n\n": 4, " ": 5, ":": 6, ": ": 7}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    pieces = Regex(r"\n\n$|\n|: $|:| |A|B")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pieces, behavior="isolated")
    return tokenizer


def test_continuations_begin_where_the_context_alone_would_end() -> None:
    (two,) = make_requests(blanks_and_letters(), [("A:", " B")], 10)
    assert two == Request((1, 6, 5), (5, 2), False)
    # The context alone ends in one token, "\n\n"; in the whole text the same place is two.
    (moved,) = make_requests(blanks_and_letters(), [("A\n\n", "BB")], 10)
    assert moved == Request((1, 3, 3, 2), (3, 2, 2), False)


def test_an_answer_that_melts_into_the_prompt_is_refused() -> None:
    with pytest.raises(InputError, match="' ' has no token of its own"):
        make_requests(blanks_and_letters(), [("A:", " ")], 10)


def test_an_answer_longer_than_the_context_is_refused() -> None:
    with pytest.raises(InputError, match="an answer of 4 tokens for a model of 3 positions"):
        score(build(length=3), [make_request([1], [2, 3, 4, 5], 3)])
