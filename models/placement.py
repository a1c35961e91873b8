"""Where a job runs: the accelerator, the number of devices, and the place of unfinished work."""

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curricle.core.errors import InputError

if TYPE_CHECKING:
    import torch

ACCELERATORS = ("auto", "cpu", "cuda")
STRATEGIES = ("ddp", "fsdp")
SNAPSHOT_SECONDS = 60.0
SNAPSHOT_SHARE = 50
"""A large state takes long to write: snapshots take at most one part in so many of the time."""


def cuda_devices() -> int:
    """The number of CUDA devices that this process sees."""
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where and how a job runs; no part of its identity.

    `accelerator` is `cpu`, `cuda`, or `auto` for CUDA where there is a device. A job runs on
    `devices` of each of `nodes` machines, and shares its batches out by `strategy`. `unfinished` is
    a folder of the job's own, local or an fsspec address, that outlives the process; every
    `snapshot_seconds` the job leaves there what it needs to go on. None: an interrupted job starts
    again. `materialised` is the address of a training run's samples in reading order; None: it
    looks them up in its dataset.
    """

    accelerator: str = "cpu"
    devices: int = 1
    nodes: int = 1
    strategy: str = "ddp"
    unfinished: str | None = None
    snapshot_seconds: float = SNAPSHOT_SECONDS
    materialised: str | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("accelerator", self.accelerator, ACCELERATORS),
            ("strategy", self.strategy, STRATEGIES),
        ):
            if value not in known:
                raise InputError(f"{name} {value!r}", expected=f"one of {known}", fix="choose one")

    @property
    def ranks(self) -> int:
        """Devices of all nodes: as many processes share a training job's batches."""
        return self.nodes * self.devices

    @property
    def resolved(self) -> str:
        """`cpu` or `cuda`. Raises InputError if CUDA is asked for and there are too few devices."""
        if self.accelerator == "cpu":
            return "cpu"
        found = cuda_devices()
        if self.accelerator == "auto" and not found:
            return "cpu"
        if found < self.devices:
            raise InputError(
                f"{self.devices} CUDA devices asked for, {found} found",
                expected="as many as hardware.devices says",
                fix="lower hardware.devices, or set hardware.accelerator to cpu",
            )
        return "cuda"

    @property
    def device(self) -> "torch.device":
        """The device of a job that needs one alone."""
        import torch

        return torch.device(self.resolved)

    def wake(self) -> None:
        """Start a CUDA device in the background: seconds in which a job can read its inputs."""
        if self.resolved == "cuda":
            threading.Thread(target=_multiply, args=(self.device,), daemon=True).start()


def _multiply(device: "torch.device") -> None:
    """Load what a first matrix product needs."""
    import torch

    # A device that can't be used says so to the job itself.
    with contextlib.suppress(RuntimeError):
        square = torch.ones(64, 64, device=device)
        torch.mm(square, square)
