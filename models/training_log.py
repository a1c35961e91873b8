"""What a training run reports of itself: losses, speed, and that something has gone wrong."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from curricle.core.errors import JobError
from curricle.core.jobs import TrainingSpec
from curricle.core.order_file import Order, batch_at
from curricle.core.read_digest import START
from curricle.models.devices import peak_flops, reduce_over_ranks
from curricle.models.flops import training_flops_per_token
from curricle.models.loss_guard import LossGuard, Problem
from curricle.models.metrics_log import MetricsLog
from curricle.models.schedule import learning_rate_at
from curricle.models.training_state import whole

LOGGED_POINTS = 50


class TrainingLog:
    """Reads the losses of steps, watches over them, and writes `metrics.jsonl` on the first rank.

    Losses stay on the device until `read`, so that a GPU's queue needn't empty at every step.
    """

    def __init__(self, spec: TrainingSpec, order: Order, fabric: Fabric, output: Path) -> None:
        self._spec, self._order, self._fabric, self._output = spec, order, fabric, output
        self._guard = LossGuard(spec.loss_spike)
        self._unread: list[tuple[int, Tensor, Tensor]] = []
        self._digests: dict[int, str] = {}
        self.first_loss = 0.0
        self.read_digest = START

    def start(self, done: int, facts: Mapping[str, Any] | None) -> None:
        """Begin, or go on after `done` steps from what an earlier attempt's `facts` were."""
        facts = facts or {"first_loss": 0.0, "recent_losses": [], "metrics": [], "read": START}
        self._earlier_seconds: float = facts.get("training_seconds", 0.0)
        self.first_loss, self.read_digest = facts["first_loss"], facts["read"]
        self._guard.restore(facts["recent_losses"])
        folder = self._output if self._fabric.is_global_zero else None
        self._metrics = MetricsLog(folder, facts["metrics"])
        self._started_at, self._started = done, time.monotonic()

    @property
    def facts(self) -> dict[str, Any]:
        """What a later attempt needs to go on."""
        recent = list(self._guard.recent)
        lines = self._metrics.lines
        return {
            "first_loss": self.first_loss,
            "recent_losses": recent,
            "metrics": lines,
            "read": self.read_digest,
            "training_seconds": self.seconds,
        }

    @property
    def seconds(self) -> float:
        """What the steps took in all attempts, validations left out."""
        return self._earlier_seconds + self._seconds_of_attempt()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let the time within count neither as training nor in its speed."""
        begun = time.monotonic()
        yield
        self._started += time.monotonic() - begun

    def note_read(self, step: int, digest: str) -> None:
        """Note the digest of everything read up to the batch of `step`."""
        self._digests[step] = self.read_digest = digest

    def add(self, step: int, loss: Tensor, norm: Tensor) -> None:
        """Note a step's loss (of this rank) and gradient norm."""
        self._unread.append((step, loss, norm))

    def read(self, last_good: Callable[[int], str]) -> None:
        """Look at the steps noted since the last time.

        Raises JobError for a loss or gradient that is no number, or a loss that jumps; it names the
        samples of the steps and what `last_good` says of the snapshot before them.
        """
        losses = torch.stack([loss for _, loss, _ in self._unread])
        values = reduce_over_ranks(self._fabric, losses, "mean").tolist()
        norms = torch.stack([whole(norm) for _, _, norm in self._unread]).tolist()
        steps, every = self._spec.steps, max(1, self._spec.steps // LOGGED_POINTS)
        for (step, _, _), loss, norm in zip(self._unread, values, norms, strict=True):
            if problem := self._guard.verdict(loss, norm):
                first = step - problem.steps + 1
                raise JobError(f"{self._story(problem, first, step)}; {last_good(first)}")
            if step == 0:
                self.first_loss = loss
            if (step + 1) % every == 0 or step + 1 == steps:
                self._write_step(step, loss, norm)
        self._unread.clear()
        self._digests.clear()

    def write_validation(self, tokens: int, domains: Mapping[str, Mapping[str, float]]) -> None:
        """Held-out losses after `tokens` tokens."""
        values = {f"validation/loss/{name}": entry["loss"] for name, entry in domains.items()}
        self._metrics.add(tokens, values)

    def _seconds_of_attempt(self) -> float:
        return time.monotonic() - self._started

    def _story(self, problem: Problem, first: int, last: int) -> str:
        """What went wrong, when, and which samples were read then."""
        spec, steps = self._spec, range(first, last + 1)
        where = f"step {last}" if first == last else f"steps {first} and {last}"
        read = [batch_at(self._order, step, spec.candidates_per_step).tolist() for step in steps]
        samples = " and ".join(map(str, read))
        rate = f"{spec.optimizer.learning_rate:g}"
        return (
            f"{problem.reason} at {where} of {spec.steps} (learning rate {rate}, samples {samples})"
        )

    def _write_step(self, step: int, loss: float, norm: float) -> None:
        spec, fabric = self._spec, self._fabric
        tokens = (step + 1 - self._started_at) * spec.tokens_per_step
        speed = tokens / self._seconds_of_attempt()
        values = {
            "train/loss": loss,
            "train/gradient_norm": norm,
            "train/learning_rate": learning_rate_at(step, spec.steps, spec.optimizer),
            "train/tokens_per_second": speed,
        }
        if peak := peak_flops(fabric.device, spec.precision, torch.get_num_threads()):
            used = speed * training_flops_per_token(spec.model)
            values["train/mfu"] = used / (peak * fabric.world_size)
        self._metrics.add((step + 1) * spec.tokens_per_step, values, self._digests[step])
