"""Perplexity and bits per byte on held-out documents, each read by itself.

In-training validation (`models/validation.py`) is quicker and coarser: its windows run over a
domain's packed stream, so that many hold the end of one document and the beginning of the next,
end-of-text is predicted like any token, and a window, not a document, is what is averaged. It
compares runs of one study while they train. What is measured here is comparable across tokenizers
and sequence lengths, and has an interval over documents.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from curricle.core.errors import InputError, JobError
from curricle.core.jobs import PerplexitySpec
from curricle.core.plain import to_plain
from curricle.core.token_dataset import read_manifest
from curricle.core.tokenizer_file import load_tokenizer
from curricle.kernels.linear_cross_entropy import linear_cross_entropy
from curricle.models.document_summary import summarise
from curricle.models.documents import Document, dataset_documents
from curricle.models.language_model import LanguageModel
from curricle.models.loading import load_language_model
from curricle.models.placement import Placement
from curricle.models.quantization import round_weights
from curricle.models.unfinished import State, Unfinished, identity_of
from curricle.models.windows import Window, assemble, batches_of, windows_of

RESULT, ROWS = "perplexity.json", "perplexity.parquet"
TOKENS_PER_BATCH = 8192

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Progress = Callable[[int, int], None]


def perplexity(
    spec: PerplexitySpec,
    inputs: dict[str, Path],
    output: Path,
    placement: Placement,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure `inputs["checkpoint"]` on `inputs["validation"]`; `inputs["tokenizer"]` counts bytes.

    Writes a row per document to `perplexity.parquet`, and returns what `summarise` makes of them
    and the FLOPs; `progress` is told how many of all inputs are done.
    """
    placement.wake()
    model = load_language_model(inputs["checkpoint"])
    if spec.weight_bits is not None:
        round_weights(model, spec.weight_bits)
    tokenizer = load_tokenizer(inputs["tokenizer"])
    documents = dataset_documents(inputs["validation"], tokenizer, spec.tokens_per_domain)
    model.to(placement.device)
    identity = identity_of(inputs, spec=to_plain(spec), tokens_per_batch=TOKENS_PER_BATCH)
    rows = document_perplexity(
        model,
        documents,
        end_of_text=read_manifest(inputs["validation"])["end_of_text"],
        stride=spec.stride,
        progress=progress,
        unfinished=Unfinished(placement, identity, output),
    )
    pq.write_table(rows, output / ROWS, compression="zstd")
    result = summarise(rows)
    (output / RESULT).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    flops = perplexity_flops(model, documents, spec.stride)
    return {**result, "flops": flops}


@torch.no_grad()
def document_perplexity(
    model: LanguageModel,
    documents: Sequence[Document],
    *,
    end_of_text: int,
    stride: int | None = None,
    tokens_per_batch: int | None = None,
    progress: Progress | None = None,
    unfinished: Unfinished | None = None,
) -> pa.Table:
    """Nats that `model` needs for each document; a row each: domain, document, tokens, bytes, nats.

    Every token of a document is predicted exactly once, the first one from `end_of_text` alone, as
    in training and in lm-evaluation-harness's rolling log-likelihood; the end-of-text token after
    the document stands for no bytes and isn't predicted. `stride`: see `windows_of`. A document
    without tokens has zeros. The model computes where it lies, `tokens_per_batch` inputs at once;
    `progress` is told how many of all inputs are done.

    Raises InputError for no documents, a domain without a token, a token that the model doesn't
    have or a stride that it can't have; JobError, naming the first such document, for losses that
    are not numbers.
    """
    _check(model, documents, end_of_text)
    tokens = [np.concatenate([[end_of_text], document.tokens]) for document in documents]
    windows = windows_of([len(each) - 1 for each in tokens], model.sequence_length, stride)
    batches = batches_of(windows, tokens_per_batch or TOKENS_PER_BATCH)
    snapshot = unfinished.restore() if unfinished else None
    done, nats_D = 0, np.zeros(len(documents))
    if snapshot:
        done, nats_D = snapshot.step, snapshot.tensors["nats"].numpy()
    state: State = {"nats": torch.from_numpy(nats_D)}, {}  # the very sums, as they grow
    inputs = np.cumsum([sum(window.length for window in batch) for batch in batches])
    model.eval()
    for index in range(done, len(batches)):
        nats_D += _batch_nats(model, batches[index], tokens)
        if unfinished and index + 1 < len(batches):
            finished = f"{index + 1} of {len(batches)} batches"
            unfinished.look(index + 1, finished, lambda: state)
        if progress:
            progress(int(inputs[index]), int(inputs[-1]))
    _check_finite(documents, nats_D)
    return pa.table(
        {
            "domain": [document.domain for document in documents],
            "document": [document.name for document in documents],
            "tokens": pa.array([len(document.tokens) for document in documents], pa.int64()),
            "bytes": pa.array([document.bytes for document in documents], pa.int64()),
            "nats": nats_D,
        }
    )


def perplexity_flops(
    model: LanguageModel, documents: Sequence[Document], stride: int | None
) -> int:
    """Operations of `document_perplexity`: a forward pass over all windows, padding left out.

    Every input is charged as at the model's full length, head included: an upper bound.
    """
    sizes = [len(document.tokens) for document in documents]
    windows = windows_of(sizes, model.sequence_length, stride)
    return sum(window.length for window in windows) * model.forward_flops_per_token


def _batch_nats(model: LanguageModel, windows: Sequence[Window], tokens: Sequence[Ints]) -> Floats:
    """Nats that a batch of windows adds to each document; shape (documents,)."""
    batch = assemble(windows, tokens)
    device = model.head_weight.device
    hidden_NC = model.hidden(batch.inputs.to(device)).flatten(0, 1)
    hidden_KC = hidden_NC[batch.places.to(device)]
    loss_K = linear_cross_entropy(
        hidden_KC, model.head_weight, batch.targets.to(device), reduction="none"
    )
    nats_D = np.zeros(len(tokens))
    np.add.at(nats_D, batch.documents, loss_K.double().cpu().numpy())
    return nats_D


def _check(model: LanguageModel, documents: Sequence[Document], end_of_text: int) -> None:
    sizes: dict[str, int] = {}
    largest = end_of_text
    for document in documents:
        sizes[document.domain] = sizes.get(document.domain, 0) + len(document.tokens)
        largest = max(largest, int(document.tokens.max(initial=0)))
    empty = [repr(name) for name, size in sizes.items() if not size]
    if not documents or empty:
        raise InputError(
            f"no token in domain {', '.join(empty)}" if documents else "no held-out documents",
            expected="at least one token of text in each domain",
            fix="give it text, or leave it out",
        )
    model.check_vocabulary(largest + 1, "held-out documents")


def _check_finite(documents: Sequence[Document], nats_D: Floats) -> None:
    wrong = np.flatnonzero(~np.isfinite(nats_D))
    if len(wrong):
        first = documents[wrong[0]]
        raise JobError(
            f"the loss is {nats_D[wrong[0]]} on document {first.name!r} of domain "
            f"{first.domain!r}, and not a number on {len(wrong)} of {len(documents)} documents: "
            "the model's weights or its precision don't serve"
        )
