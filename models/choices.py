"""Evaluation items scored by likelihood: the choice that a model finds likeliest is its answer.

Shape suffixes: I items.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curricle.core.choice_items import ChoiceItem, read_items
from curricle.core.errors import InputError, JobError
from curricle.core.jobs import ChoicesSpec
from curricle.core.tokenizer_file import load_tokenizer, vocabulary_size
from curricle.models.language_model import LanguageModel
from curricle.models.loading import load_language_model
from curricle.models.log_likelihoods import Request, make_requests, score
from curricle.models.placement import Placement

ROWS = "choices.parquet"


def choices(
    spec: ChoicesSpec, inputs: Mapping[str, Path], output: Path, placement: Placement
) -> dict[str, Any]:
    """Ask `inputs["checkpoint"]` the items in `inputs["items"]`, with `inputs["tokenizer"]`.

    Writes a row an item and returns, for each stage and family, what `summarise` makes of them.
    Raises InputError for an item that is longer than the model's context, JobError for likelihoods
    that are no finite numbers.
    """
    del spec
    model = load_language_model(inputs["checkpoint"]).to(placement.device)
    tokenizer = load_tokenizer(inputs["tokenizer"])
    model.check_vocabulary(vocabulary_size(tokenizer), "a tokenizer")
    items = read_items(inputs["items"])
    pairs = [(item.prompt, f" {choice}") for item in items for choice in item.choices]
    requests = make_requests(tokenizer, pairs, model.sequence_length)
    _check_length(items, requests, model)
    scores = score(model, requests)
    if not np.isfinite(scores.log_likelihood).all():
        raise JobError("the model's answers are no finite numbers: its weights don't serve")
    rows = _rows(items, requests, scores.log_likelihood, scores.is_greedy)
    pq.write_table(rows, output / ROWS, compression="zstd")
    return {"families": summarise(rows)}


def summarise(rows: pa.Table) -> list[dict[str, Any]]:
    """Scores of each stage's families, in the order of the items.

    `accuracy` of the likeliest choice, and `chance`; `exact`, the share of items whose right choice
    is the model's likeliest continuation, word by word; `probability` of the right choice among the
    choices; `nats` of the right choice a token.
    """
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows.to_pylist():
        groups.setdefault((row["stage"], row["family"]), []).append(row)
    return [
        {
            "stage": stage,
            "family": family,
            "held_out": group[0]["held_out"],
            "items": len(group),
            "accuracy": _mean(row["correct"] for row in group),
            "chance": _mean(1 / row["choices"] for row in group),
            "exact": _mean(row["exact"] for row in group),
            "probability": _mean(row["probability"] for row in group),
            "nats": _mean(row["nats"] / row["tokens"] for row in group),
        }
        for (stage, family), group in groups.items()
    ]


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _check_length(
    items: Sequence[ChoiceItem], requests: Sequence[Request], model: LanguageModel
) -> None:
    cut = sum(request.is_cut for request in requests)
    if cut:
        raise InputError(
            f"{cut} of {len(requests)} prompts longer than the model's {model.sequence_length} "
            f"positions, among {len(items)} items",
            expected="items that fit the context",
            fix="raise tokenizer.sequence_length, or lower the source's difficulty",
        )


def _rows(
    items: Sequence[ChoiceItem],
    requests: Sequence[Request],
    likelihood: np.ndarray,
    is_greedy: np.ndarray,
) -> pa.Table:
    rows = []
    for item, own in zip(items, _slices(items), strict=True):
        values, right = likelihood[own], item.answer
        shares = np.exp(values - values.max())
        rows.append(
            {
                "stage": item.stage,
                "family": item.family,
                "held_out": item.held_out,
                "number": item.number,
                "choices": len(item.choices),
                "correct": bool(values.argmax() == right),
                "exact": bool(is_greedy[own][right]),
                "probability": float(shares[right] / shares.sum()),
                "nats": -float(values[right]),
                "tokens": len(requests[own.start + right].targets),
            }
        )
    return pa.Table.from_pylist(rows)


def _slices(items: Sequence[ChoiceItem]) -> Iterator[slice]:
    start = 0
    for item in items:
        yield slice(start, start + len(item.choices))
        start += len(item.choices)
