"""Recording a step, with a stand-in for CUDA; `test_gpu.py` holds what takes a GPU."""

import contextlib
import gc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from curricle.models.graphed_step import WARM_UPS, GraphedStep


class Run:
    """A run that has ended and lies in a cycle, like one that holds its own bound method."""

    def __init__(self, ended: list[str], state: dict[str, str]) -> None:
        self.method, self.ended, self.state = self.end, ended, state

    def end(self) -> None:
        """What an earlier run's graph does when it is collected."""

    def __del__(self) -> None:
        self.ended.append(self.state["now"])


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is going `now`; CUDA's streams and graphs do nothing."""
    state = {"now": "before"}

    @contextlib.contextmanager
    def record(*_: Any, **__: Any) -> Iterator[None]:
        state["now"] = "recording"
        try:
            yield
        finally:
            state["now"] = "after"

    stream = SimpleNamespace(wait_stream=lambda _: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: None))
    monkeypatch.setattr(torch.cuda, "graph", record)
    return state


@pytest.mark.usefixtures("eager_collection")
def test_an_earlier_run_is_not_collected_while_a_step_is_recorded(state: dict[str, str]) -> None:
    ended: list[str] = []

    def step(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if state["now"] == "recording":
            Run(ended, state)
        assert [[] for _ in range(100)]
        return batch, batch

    graphed = GraphedStep(step, torch.device("cpu"))
    for _ in range(WARM_UPS + 1):
        graphed(torch.zeros(1))
    gc.collect()
    assert ended == ["after"]
    assert gc.isenabled()


@pytest.mark.usefixtures("state")
def test_garbage_is_collected_again_after_a_record_that_failed() -> None:
    def step(batch: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if not gc.isenabled():
            raise RuntimeError("out of memory")
        return batch, batch

    graphed = GraphedStep(step, torch.device("cpu"))
    for _ in range(WARM_UPS):
        graphed(torch.zeros(1))
    with pytest.raises(RuntimeError, match="out of memory"):
        graphed(torch.zeros(1))
    assert gc.isenabled()
