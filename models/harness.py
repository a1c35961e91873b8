"""Our language models behind lm-evaluation-harness's interface; needs the extra `harness`."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tokenizers import Tokenizer

from curricle.core.errors import InputError, JobError
from curricle.models.language_model import LanguageModel
from curricle.models.log_likelihoods import Floats, Request, make_request, make_requests, score

GENERATED_TOKENS = 256


class HarnessModel(LM):  # type: ignore[misc]  # the harness has no types
    """A model and its tokenizer, as the harness's tasks ask them.

    `end_of_text` stands before texts without a context and ends what is generated. Log-likelihoods
    equal those of the harness's own Hugging Face model; generation is greedy.
    """

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer, end_of_text: int) -> None:
        super().__init__()
        self._model, self._tokenizer, self._end_of_text = model, tokenizer, end_of_text

    def loglikelihood(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation, and whether it is what greedy decoding gives."""
        del disable_tqdm
        by_task: dict[str, list[int]] = defaultdict(list)
        for index, request in enumerate(requests):
            by_task[str(request.task_name)].append(index)
        answers: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        for indices in by_task.values():  # examples before a question are shared within a task
            found = score(self._model, self._requests([requests[i].args for i in indices]))
            _refuse_nan(found.log_likelihood)
            for index, value, greedy in zip(indices, *found, strict=True):
                answers[index] = (float(value), bool(greedy))
        return answers

    def loglikelihood_rolling(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-likelihood of whole texts, in the harness's own windows."""
        del disable_tqdm
        return [self._rolling(request.args[0]) for request in requests]

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """What greedy decoding writes up to the first of the request's stop words."""
        del disable_tqdm
        return [self._generate(*request.args) for request in requests]

    def _requests(self, texts: Sequence[tuple[str, str]]) -> list[Request]:
        alone = {text: self._after_nothing("".join(text)) for text in texts if not text[0].strip()}
        others = [text for text in texts if text not in alone]
        moved = [_move_blanks(*text) for text in others]
        made = make_requests(self._tokenizer, moved, self._model.sequence_length)
        by_text = alone | dict(zip(others, made, strict=True))
        return [by_text[text] for text in texts]

    def _after_nothing(self, text: str) -> Request:
        """End-of-text comes before a text without a context, unless the text begins with it."""
        tokens = self._tokenizer.encode(text, add_special_tokens=False).ids
        start = [] if tokens[:1] == [self._end_of_text] else [self._end_of_text]
        context, *targets = [*start, *tokens]
        return make_request([context], targets, self._model.sequence_length)

    def _rolling(self, text: str) -> float:
        windows = get_rolling_token_windows(
            token_list=self._tokenizer.encode(text).ids,
            prefix_token=self._end_of_text,
            max_seq_len=self._model.sequence_length,
            context_len=1,
        )
        made = [
            make_request(context, targets, self._model.sequence_length)
            for context, targets in map(make_disjoint_window, windows)
        ]
        found = score(self._model, made).log_likelihood
        _refuse_nan(found)
        return float(found.sum())

    @torch.no_grad()
    def _generate(self, context: str, settings: dict[str, Any]) -> str:
        if settings.get("do_sample") and settings.get("temperature") != 0:
            raise InputError(
                "a task that samples what it generates",
                expected="greedy decoding",
                fix="leave the task out, or set its temperature to 0",
            )
        until = settings.get("until") or []
        stops = [until] if isinstance(until, str) else [stop for stop in until if stop]
        count = int(settings.get("max_gen_toks", GENERATED_TOKENS))
        room = self._model.sequence_length - count
        if room < 1:
            raise InputError(
                f"{count} tokens to generate with a model of {self._model.sequence_length}",
                expected="a context with room for a prompt before them",
                fix="leave the task out, or lower its max_gen_toks",
            )
        prompt = torch.tensor(self._tokenizer.encode(context).ids[-room:])
        return self._continue(prompt.to(self._model.head_weight.device), stops, count)

    def _continue(self, prompt_T: torch.Tensor, stops: Sequence[str], count: int) -> str:
        """Greedy decoding; the prompt is read once where the model keeps prefixes."""
        keeps = self._model.keeps_prefixes and len(prompt_T) > 1
        prefix = self._model.keep_prefix(prompt_T[:-1]) if keeps else None
        tokens_T = prompt_T[-1:] if prefix else prompt_T
        given, text = len(tokens_T), ""
        for _ in range(count):
            hidden_11C = self._model.last_hidden(tokens_T[None], 1, prefix)
            logits_1V = self._model.logits(hidden_11C[:, -1])
            _refuse_nan(logits_1V.logsumexp(-1))
            best = logits_1V.argmax(-1)
            if best.item() == self._end_of_text:
                break
            tokens_T = torch.cat([tokens_T, best])
            text = self._tokenizer.decode(tokens_T[given:].tolist())
            if any(stop in text for stop in stops):
                break
        return min((text.split(stop)[0] for stop in stops), key=len, default=text)


def _refuse_nan(values: Floats | torch.Tensor) -> None:
    """An argmax over NaN is a constant choice, which would pass for an answer."""
    if torch.as_tensor(values).isnan().any():
        raise JobError("the model's logits are not numbers: its weights don't serve")


def _move_blanks(context: str, continuation: str) -> tuple[str, str]:
    """Blanks at a context's end belong to the continuation's first word."""
    stripped = context.rstrip()
    return stripped, context[len(stripped) :] + continuation
