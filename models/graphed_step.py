"""A training step as one CUDA graph: launching a small model's kernels takes longer than they run.

A graph is recorded once and launched as a whole, so that the host does one thing a step instead of
hundreds. The kernels, their order and so the bits are those of the step as it is written.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

WARM_UPS = 3

Step = Callable[[Tensor], tuple[Tensor, Tensor]]


class GraphedStep:
    """Calls `step` as it is a few times, then records it and from there on replays the record.

    `step` maps a batch on the GPU to two results. It must do the same each time: read the batch,
    which always has the same shape, and memory that stays in place, without asking the GPU for a
    value, and without random numbers.
    """

    def __init__(self, step: Step, device: torch.device) -> None:
        self._step = step
        make_stream: Any = torch.cuda.Stream  # torch leaves it untyped
        self._stream = make_stream(device)
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """The results of `step` for `batch`."""
        self._calls += 1
        if self._calls <= WARM_UPS:
            return self._call_beside(batch)
        if self._graph is None:
            self._record(batch)
        self._batch.copy_(batch)
        assert self._graph is not None
        self._graph.replay()
        first, second = self._results
        return first.clone(), second.clone()

    def _call_beside(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        """On the stream that will record: libraries prepare what they need for it."""
        current = torch.cuda.current_stream(batch.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            results = self._step(batch)
        current.wait_stream(self._stream)
        return results

    def _record(self, batch: Tensor) -> None:
        self._batch = batch.clone()
        self._graph = torch.cuda.CUDAGraph()
        # Other threads go on meanwhile: one reads the next batch.
        recording = torch.cuda.graph(
            self._graph, stream=self._stream, capture_error_mode="thread_local"
        )
        with _uncollected(), recording:
            self._results = self._step(self._batch)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No collection of garbage: the end of another run's graph would spoil the record."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
