"""The driver's calls, on a stand-in for its library: what torch finds is tested on a GPU."""

import ctypes
from typing import Any

import pytest
import torch

from curricle.models.cuda_driver import start_first_device


class Driver:
    """Answers `cuInit` with `status`, everything else with success."""

    def __init__(self, status: int) -> None:
        self.status, self.calls = status, list[str]()

    def __getattr__(self, name: str) -> Any:
        def call(*_: object) -> int:
            self.calls.append(name)
            return self.status if name == "cuInit" else 0

        return call


@pytest.mark.parametrize(
    ("status", "calls"),
    [(0, ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain"]), (100, ["cuInit"])],
)
def test_a_context_is_made_where_there_is_a_device(
    monkeypatch: pytest.MonkeyPatch, status: int, calls: list[str]
) -> None:
    driver = Driver(status)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: driver)
    start_first_device().join()
    assert driver.calls == calls


# What a thread raises is a warning to pytest.
@pytest.mark.filterwarnings("error")
def test_nothing_happens_without_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    start_first_device().join()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_torch_works_in_that_context() -> None:
    start_first_device().join()
    assert torch.ones(2, device="cuda").sum().item() == 2
