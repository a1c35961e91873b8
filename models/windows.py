"""The windows in which a model reads a document, and the batches they are computed in.

Shape suffixes: B windows, T positions, K scored positions of all windows of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from curricle.core.errors import InputError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """`length` inputs of `document` from position `start` on, of which the last `scored` predict.

    Position 0 holds the token that stands before the document's first.
    """

    document: int
    start: int
    length: int
    scored: int


def windows_of(tokens: Sequence[int], longest: int, stride: int | None) -> list[Window]:
    """Windows over documents of so many `tokens`: each token is predicted exactly once.

    The first window of a document predicts up to `longest` tokens; each later one the next `stride`
    (default: `longest`), from as long a context as the model reads, `longest` tokens. A document's
    last window, too, is filled to the left. With stride 1 every token has all the context there is;
    a larger one is cheaper by the same factor. Raises InputError for a stride that isn't in 1 to
    `longest`.
    """
    step = longest if stride is None else stride
    if not 1 <= step <= longest:
        raise InputError(
            f"stride {step}",
            expected=f"1 to {longest}, the model's longest context",
            fix="change the stride, or leave it out",
        )
    windows = []
    for document, size in enumerate(tokens):
        done = 0
        while done < size:
            scored = min(size - done, step if done else longest)
            done += scored
            start = max(0, done - longest)
            windows.append(Window(document, start, done - start, scored))
    return windows


def batches_of(windows: Sequence[Window], tokens_per_batch: int) -> list[list[Window]]:
    """Windows of about the same length together, at most `tokens_per_batch` inputs with padding.

    A window longer than that makes a batch of its own.
    """
    batches: list[list[Window]] = []
    for window in sorted(windows, key=lambda window: window.length, reverse=True):
        if not batches or (len(batches[-1]) + 1) * batches[-1][0].length > tokens_per_batch:
            batches.append([])
        batches[-1].append(window)
    return batches


@dataclass(frozen=True)
class WindowBatch:
    """Padded inputs (B, T); of each scored position (K,) its place in them, target and document.

    Padding stands on the right, where causal attention lets nothing see it.
    """

    inputs: Tensor
    places: Tensor
    targets: Tensor
    documents: Ints


def assemble(windows: Sequence[Window], documents: Sequence[Ints]) -> WindowBatch:
    """The tensors of a batch; `documents` begin with the token that stands before their first."""
    width = max(window.length for window in windows)
    inputs = np.zeros((len(windows), width), dtype=np.int64)
    places, targets = [], []
    for row, window in enumerate(windows):
        end = window.start + window.length
        tokens = documents[window.document]
        inputs[row, : window.length] = tokens[window.start : end]
        last = row * width + window.length
        places.append(np.arange(last - window.scored, last))
        targets.append(tokens[end - window.scored + 1 : end + 1])
    return WindowBatch(
        inputs=torch.from_numpy(inputs),
        places=torch.from_numpy(np.concatenate(places)),
        targets=torch.from_numpy(np.concatenate(targets)),
        documents=np.repeat(
            [window.document for window in windows], [window.scored for window in windows]
        ),
    )
