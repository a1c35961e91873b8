"""Our language models behind lm-evaluation-harness's interface; needs the extra `harness`."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tokenizers import Tokenizer

from curricle.core.errors import InputError, JobError
from curricle.core.plain import fingerprint
from curricle.models.language_model import LanguageModel
from curricle.models.log_likelihoods import Floats, Request, make_request, make_requests, score
from curricle.models.unfinished import State, Unfinished

GENERATED_TOKENS = 256
# Requests of one task that are answered at once: the examples before them are read once for all,
# and an interruption loses no more.
REQUESTS_AT_ONCE = 1024
# Whole texts, of up to many windows each.
TEXTS_AT_ONCE = 64

Progress = Callable[[int, int], None]


class HarnessModel(LM):  # type: ignore[misc]  # the harness has no types
    """A model and its tokenizer, as the harness's tasks ask them.

    `end_of_text` stands before texts without a context and ends what is generated. Log-likelihoods
    equal those of the harness's own Hugging Face model; generation is greedy. Answers are kept in
    `unfinished`, by what was asked, and aren't worked out again; `progress` is told how many of the
    requests of one kind are done.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        end_of_text: int,
        unfinished: Unfinished | None = None,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self._model, self._tokenizer, self._end_of_text = model, tokenizer, end_of_text
        self._unfinished, self._progress = unfinished, progress
        snapshot = unfinished.restore() if unfinished else None
        self._answers: dict[str, Any] = snapshot.facts["answers"] if snapshot else {}

    def loglikelihood(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation, and whether it is what greedy decoding gives."""
        del disable_tqdm
        answers: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        for done, indices in _parts(requests, REQUESTS_AT_ONCE):
            texts = [requests[i].args for i in indices]
            for index, (value, greedy) in zip(indices, self._scored(texts), strict=True):
                answers[index] = (value, greedy)
            self._tell(done, len(requests))
        return answers

    def loglikelihood_rolling(
        self, requests: Sequence[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-likelihood of whole texts, in the harness's own windows."""
        del disable_tqdm
        answers = np.zeros(len(requests))
        for done, indices in _parts(requests, TEXTS_AT_ONCE):
            answers[indices] = self._rolled([str(requests[i].args[0]) for i in indices])
            self._tell(done, len(requests))
        return [float(value) for value in answers]

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """What greedy decoding writes up to the first of the request's stop words."""
        del disable_tqdm
        answers = []
        for done, request in enumerate(requests, start=1):
            asked = [str(request.request_type), *request.args]
            answers.append(self._known(asked, partial(self._generate, *request.args)))
            self._tell(done, len(requests))
        return answers

    def _scored(self, texts: Sequence[tuple[str, str]]) -> list[tuple[float, bool]]:
        """Log-likelihoods of one task's continuations, and whether they are the greedy ones."""

        def answer() -> list[tuple[float, bool]]:
            found = score(self._model, self._requests(texts))
            _refuse_infinite(found.log_likelihood)
            pairs = zip(*found, strict=True)
            return [(float(value), bool(greedy)) for value, greedy in pairs]

        found: list[tuple[float, bool]] = self._known(["continuations", *texts], answer)
        return found

    def _known(self, asked: Sequence[Any], answer: Callable[[], Any]) -> Any:
        """The answer, JSON values, to what is `asked`; worked out if it isn't known yet.

        Raises InterruptedJobError if the job is to stop.
        """
        key = fingerprint(asked)
        if key not in self._answers:
            self._answers[key] = answer()
            if self._unfinished:
                count = len(self._answers)
                state: State = {}, {"answers": self._answers}
                self._unfinished.look(count, f"{count} parts of the tasks", lambda: state)
        return self._answers[key]

    def _tell(self, done: int, total: int) -> None:
        if self._progress:
            self._progress(done, total)

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

    def _rolled(self, texts: Sequence[str]) -> list[float]:
        """Log-likelihoods of whole texts, whose windows are read side by side."""

        def answer() -> list[float]:
            windows = [self._windows(text) for text in texts]
            found = score(self._model, list(chain.from_iterable(windows))).log_likelihood
            _refuse_infinite(found)
            ends = np.cumsum([len(each) for each in windows])
            return [float(part.sum()) for part in np.split(found, ends[:-1])]

        found: list[float] = self._known(["texts", *texts], answer)
        return found

    def _windows(self, text: str) -> list[Request]:
        windows = get_rolling_token_windows(
            token_list=self._tokenizer.encode(text).ids,
            prefix_token=self._end_of_text,
            max_seq_len=self._model.sequence_length,
            context_len=1,
        )
        return [
            make_request(context, targets, self._model.sequence_length)
            for context, targets in map(make_disjoint_window, windows)
        ]

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
            _refuse_infinite(logits_1V.logsumexp(-1))
            best = logits_1V.argmax(-1)
            if best.item() == self._end_of_text:
                break
            tokens_T = torch.cat([tokens_T, best])
            text = self._tokenizer.decode(tokens_T[given:].tolist())
            if any(stop in text for stop in stops):
                break
        return min((text.split(stop)[0] for stop in stops), key=len, default=text)


def _parts(requests: Sequence[Instance], size: int) -> Iterator[tuple[int, list[int]]]:
    """Places of `size` requests of one task at a time, and how many are done with them."""
    by_task: dict[str, list[int]] = defaultdict(list)
    for index, request in enumerate(requests):
        by_task[str(request.task_name)].append(index)
    done = 0
    for indices in by_task.values():
        for start in range(0, len(indices), size):
            part = indices[start : start + size]
            done += len(part)
            yield done, part


def _refuse_infinite(values: Floats | torch.Tensor) -> None:
    """An argmax over NaN or infinities is a constant choice, which would pass for an answer."""
    if not torch.as_tensor(values).isfinite().all():
        raise JobError("the model's logits are no finite numbers: its weights don't serve")


def _move_blanks(context: str, continuation: str) -> tuple[str, str]:
    """Blanks at a context's end belong to the continuation's first word."""
    stripped = context.rstrip()
    return stripped, context[len(stripped) :] + continuation
