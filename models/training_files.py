"""What a training run writes: its weights, the checkpoints it keeps, the snapshots it resumes from.

Weights are gathered by all ranks together; the first one alone keeps them in memory and writes.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import nn

from curricle.core.errors import IntegrityError, JobError
from curricle.core.jobs import TrainingSpec
from curricle.core.model_size import parameters
from curricle.core.remote import require_room
from curricle.models.averaging import WeightAverage
from curricle.models.branch_points import save_branch_point
from curricle.models.checkpoint import checkpoint_name, save_spec, save_weights
from curricle.models.devices import reduce_over_ranks
from curricle.models.placement import SNAPSHOT_SHARE, Placement
from curricle.models.snapshots import KEPT, Snapshot, Snapshots
from curricle.models.training_state import collect_state, model_weights, restore_state

_WEIGHT_BYTES = 4


class TrainingFiles:
    """The files of one run in `output` and, until it is done, in its place of unfinished work."""

    def __init__(
        self,
        spec: TrainingSpec,
        identity: str,
        fabric: Fabric,
        output: Path,
        placement: Placement,
    ) -> None:
        self._spec, self._fabric, self._output = spec, fabric, output
        self.snapshots = Snapshots(placement.unfinished, identity)
        self._interval = placement.snapshot_seconds
        self._taken_at = time.monotonic()
        self._kept: list[Path] = []

    @property
    def is_overdue(self) -> bool:
        """Whether it is time for the next snapshot."""
        return time.monotonic() - self._taken_at > self._interval

    def resume(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: WeightAverage | None,
        start: Snapshot | None,
    ) -> tuple[int, dict[str, Any] | None]:
        """Restore the last snapshot, or else `start`: the steps that are done, and the facts.

        Raises InputError if there is no space for what the run will write.
        """
        if self._fabric.is_global_zero:
            self.snapshots.sweep()
            self._check_room()
            save_spec(self._output, self._spec.model)
        snapshot = self.snapshots.latest(self._output) or start
        if snapshot is not None:
            try:
                restore_state(snapshot.tensors, model, optimizer, average)
            except IntegrityError as error:
                raise IntegrityError(f"the state after {snapshot.step} steps: {error}") from None
        done = snapshot.step if snapshot else 0
        self._check_ranks_agree(done)
        self._taken_at = time.monotonic()
        return done, snapshot.facts if snapshot else None

    def save(self, model: nn.Module, name: str) -> None:
        """Write the weights that the model has now."""
        weights = model_weights(model, keep=self._fabric.is_global_zero)
        if self._fabric.is_global_zero:
            save_weights(self._output, weights, name)

    def keep(self, model: nn.Module, tokens: int) -> None:
        """Write the checkpoint after `tokens` tokens; snapshots hold it from then on."""
        self.save(model, checkpoint_name(tokens))
        self._kept.append(self._output / checkpoint_name(tokens))

    def keep_state(
        self,
        tokens: int,
        facts: Mapping[str, Any],
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: WeightAverage | None,
    ) -> None:
        """Write the full state after `tokens` tokens, for branches."""
        state = collect_state(model, optimizer, average, keep=self._fabric.is_global_zero)
        if self._fabric.is_global_zero:
            self._kept.append(save_branch_point(self._output, tokens, state, facts))

    def save_snapshot(
        self,
        done: int,
        facts: Mapping[str, Any],
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        average: WeightAverage | None,
    ) -> None:
        """Write everything that the run needs to go on after `done` steps."""
        started = time.monotonic()
        state = collect_state(model, optimizer, average, keep=self._fabric.is_global_zero)
        if self._fabric.is_global_zero:
            self.snapshots.save(done, state, facts, self._kept)
        self._fabric.barrier()
        self._taken_at = time.monotonic()
        # A large state takes long to write: never more than a fiftieth of the time.
        if self._interval:
            self._interval = max(self._interval, SNAPSHOT_SHARE * (self._taken_at - started))

    def _check_ranks_agree(self, done: int) -> None:
        """Each rank reads the snapshots by itself, and one may have failed to read the newest."""
        mine = torch.tensor(float(done), device=self._fabric.device)
        if float(reduce_over_ranks(self._fabric, mine, "mean")) != done:
            raise JobError("the ranks found different snapshots; run the same command again")

    def _check_room(self) -> None:
        """Weights, kept checkpoints, and as many snapshots as ever lie side by side."""
        spec = self._spec
        weights = _WEIGHT_BYTES * parameters(spec.model)
        averages = 1 if spec.averaging else 0
        state = weights * (3 + averages)
        kept = weights * len(spec.checkpoints_at) + state * len(spec.states_at)
        needs = [(self._output, kept + weights * (1 + averages))]
        if folder := self.snapshots.local_folder:
            needs.append((folder, kept + state * (KEPT + 1) - self.snapshots.bytes_there()))
        require_room(needs)
