"""The training job: a loop on Lightning Fabric that reads a precomputed order.

The batch at step t is a pure function of (order, t), and every random number one of (seed, step),
so that a run is told by its spec, its dataset and its order, costs the same under every order, and
goes on after an interruption to the same bits.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curricle.core.jobs import TrainingSpec
from curricle.core.order_file import batch_at, write_read
from curricle.core.read_digest import next_digest
from curricle.core.seeds import derive_seed
from curricle.models.averaging import WeightAverage
from curricle.models.checkpoint import FINAL, LAST
from curricle.models.decoder import build_model, count_parameters
from curricle.models.devices import any_rank, make_fabric, training_kernels
from curricle.models.flops import (
    forward_flops_per_token,
    selection_flops,
    training_flops_per_token,
)
from curricle.models.graphed_step import GraphedStep, Step
from curricle.models.interruption import InterruptedJobError, stop_requested
from curricle.models.optimizer import build_optimizer, set_learning_rate
from curricle.models.placement import Placement
from curricle.models.prefetch import prefetched
from curricle.models.schedule import learning_rate_at
from curricle.models.selection import Selection
from curricle.models.training_files import TrainingFiles
from curricle.models.training_inputs import TrainingInputs, open_inputs
from curricle.models.training_log import TrainingLog
from curricle.models.validation import evaluating, validate

# Looking at the losses makes a GPU wait for its queue to empty; on a CPU they are there anyway.
STEPS_BETWEEN_LOOKS = {"cpu": 1, "cuda": 16}
# Steps of models of up to so many parameters are recorded as CUDA graphs. Larger ones keep a GPU
# busy anyway, and a graph keeps all memory of a step to itself.
GRAPHED = 50_000_000


def train(
    spec: TrainingSpec, inputs: Mapping[str, Path], output: Path, placement: Placement
) -> dict[str, Any]:
    """Train one model; writes weights, `metrics.jsonl` and `validation.parquet` into `output`.

    `inputs`: `dataset` and `validation` (dataset folders), `order`, and for a branch `start`, the
    folder of the run whose state it begins with. With a place for unfinished work the run goes on
    from its last snapshot. Returns parameters, FLOPs, the loss of the first batch (before any
    update) and of each validation domain; on ranks other than the first nothing. Raises InputError
    if dataset, order, spec and devices don't fit or there is no space, JobError if the loss stops
    being a number or jumps, or the disk fills, InterruptedJobError if the process was asked to
    stop.
    """
    data = open_inputs(spec, inputs, placement)
    with training_kernels(placement.resolved):
        run = TrainingRun(spec, data, output, placement)
        run.resume()
        run.fit()
        return run.finish()


class TrainingRun:
    """A run in progress. `done` counts its steps; everything else follows from the spec."""

    def __init__(
        self, spec: TrainingSpec, data: TrainingInputs, output: Path, placement: Placement
    ) -> None:
        self.spec, self.data, self.output = spec, data, output
        self.fabric = make_fabric(placement, spec.precision)
        self.model = build_model(spec.model, spec.seed)
        if spec.compile:
            for block in self.model.blocks:
                block.compile()
        self.wrapped = self.fabric.setup_module(self.model)
        graphed = self._is_graphed()
        self.optimizer = build_optimizer(self.model, spec.optimizer, graphed=graphed)
        self.fabric_optimizer: Any = self.fabric.setup_optimizers(self.optimizer)
        self.descend: Step = self._descend
        if graphed:
            self.descend = GraphedStep(self._descend, self.fabric.device)
        self.average = self._make_average()
        self.selection = Selection(spec, data.irreducible) if spec.selection else None
        self.log = TrainingLog(spec, data.order, self.fabric, output)
        self.files = TrainingFiles(spec, data.identity, self.fabric, output, placement)
        points = (*spec.checkpoints_at, *spec.validations_at, *spec.states_at, spec.tokens)
        self.events = frozenset(tokens // spec.tokens_per_step for tokens in points)
        self.done = 0

    def resume(self) -> None:
        """Go on from the last snapshot, if there is one, else from where the run branches off."""
        self.done, facts = self.files.resume(
            self.model, self.optimizer, self.average, self.data.start
        )
        self.log.start(self.done, facts)
        if self.selection is not None and facts is not None:
            self.selection.restore(facts["selection"])

    def fit(self) -> None:
        """All steps that are still to be done."""
        for _ in self.each_step():
            pass

    def each_step(self) -> Iterator[int]:
        """Does a step that is still to be done at each turn, and tells how many are done then."""
        look_every = STEPS_BETWEEN_LOOKS[self.fabric.device.type]
        self.wrapped.train()
        self.read_digest = self.log.read_digest
        steps = range(self.done, self.spec.steps)
        for step, read in prefetched(self._read, steps):
            windows_MBT1, digest = self._chosen(step, *read)
            self.log.note_read(step, digest)
            self._update(step, windows_MBT1)
            self.done = step + 1
            asked = stop_requested() and self.fabric.world_size == 1
            if self.done % look_every == 0 or self.done in self.events or asked:
                self._look()
            yield self.done

    def _read(self, step: int) -> tuple[Tensor, str]:
        """This rank's share of a batch, and the digest of all batches up to it.

        With a selection: the candidates, and the digest of an earlier step.
        """
        rank, ranks = self.fabric.global_rank, self.fabric.world_size
        windows_MBT1 = self.data.micro_batches(self.spec, step, rank, ranks)
        if self.fabric.is_global_zero and self.selection is None:
            whole = self.data.micro_batches(self.spec, step, 0, 1) if ranks > 1 else windows_MBT1
            self.read_digest = next_digest(self.read_digest, whole.numpy())
        if self.fabric.device.type == "cuda":
            windows_MBT1 = windows_MBT1.pin_memory()
        return windows_MBT1.to(self.fabric.device, non_blocking=True), self.read_digest

    def _chosen(self, step: int, windows_MBT1: Tensor, digest: str) -> tuple[Tensor, str]:
        """What was read, or what a selection chooses of it, and the digest up to there."""
        if self.selection is None:
            return windows_MBT1, digest
        windows_NT1 = windows_MBT1.flatten(0, 1)
        samples_N = batch_at(self.data.order, step, self.spec.candidates_per_step)
        places_B = self.selection.choose(self.model, step, samples_N, windows_NT1)
        chosen_BT1 = windows_NT1[places_B.to(windows_NT1.device)]
        self.read_digest = next_digest(self.read_digest, chosen_BT1.cpu().numpy())
        micro = self.spec.micro_batch_size or self.spec.batch_size
        return chosen_BT1.view(-1, micro, chosen_BT1.shape[1]), self.read_digest

    def _update(self, step: int, windows_MBT1: Tensor) -> None:
        """One optimizer step at its learning rate."""
        rate = learning_rate_at(step, self.spec.steps, self.spec.optimizer)
        set_learning_rate(self.optimizer, rate)
        loss, norm = self.descend(windows_MBT1)
        if self.average is not None:
            self.average.update(step + 1)
        self.log.add(step, loss, norm)

    def _descend(self, windows_MBT1: Tensor) -> tuple[Tensor, Tensor]:
        """Step along the gradient accumulated over the micro-batches; their loss, its norm."""
        self.fabric_optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=self.fabric.device)
        for part, windows_BT1 in enumerate(windows_MBT1):
            self._seed_dropout(part)
            more = part + 1 < len(windows_MBT1)
            with self.fabric.no_backward_sync(self.wrapped, enabled=more):
                part_loss = self.wrapped(windows_BT1) / len(windows_MBT1)
                self.fabric.backward(part_loss)
            loss += part_loss.detach()
        norm = self.fabric.clip_gradients(
            self.wrapped,
            self.fabric_optimizer,
            max_norm=self.spec.optimizer.gradient_clip,
            error_if_nonfinite=False,  # the log finds it, and says which samples it were
        )
        self.fabric_optimizer.step()
        assert norm is not None
        return loss, norm

    def _is_graphed(self) -> bool:
        """Whether the step takes the GPU less time than the host; with dropout it's never alike."""
        fabric, model = self.fabric, self.spec.model
        alone_on_gpu = fabric.device.type == "cuda" and fabric.world_size == 1
        return alone_on_gpu and not model.dropout and count_parameters(self.model) <= GRAPHED

    def _seed_dropout(self, part: int) -> None:
        """Make dropout a function of (seed, step, micro-batch, rank): there is no state to keep."""
        if self.spec.model.dropout:
            rank = self.fabric.global_rank
            torch.manual_seed(derive_seed(self.spec.seed, "dropout", self.done, part, rank))

    def _look(self) -> None:
        """Read the losses since the last look; log, keep, validate and save what is due."""
        self.log.read(self.files.snapshots.describe)
        tokens, unfinished = self.done * self.spec.tokens_per_step, self.done < self.spec.steps
        if tokens in self.spec.checkpoints_at:
            self.files.keep(self.model, tokens)
        state = (self.model, self.optimizer, self.average)
        if tokens in self.spec.states_at:
            self.files.keep_state(tokens, self._facts_so_far, *state)
        if tokens in self.spec.validations_at and unfinished:
            self._validate()
        stop, overdue = any_rank(self.fabric, stop_requested(), self.files.is_overdue)
        if (stop or overdue) and unfinished:
            self.files.save_snapshot(self.done, self._facts_so_far, *state)
        if stop:
            raise InterruptedJobError(
                f"stopped on request after {self.done} of {self.spec.steps} steps"
            )

    @property
    def _facts_so_far(self) -> dict[str, Any]:
        """What a later attempt, or a branch, needs to go on."""
        chosen = {"selection": self.selection.facts} if self.selection else {}
        return {**self.log.facts, **chosen}

    def finish(self) -> dict[str, Any]:
        """Write the final weights, validate them, and return the run's facts."""
        if self.average is not None:
            self.files.save(self.model, LAST)
        with self._weights_that_count():
            self.files.save(self.model, FINAL)
        domains = self._validate()
        return self._facts(domains) if self.fabric.is_global_zero else {}

    def _validate(self) -> dict[str, dict[str, float]]:
        """Losses per domain of the weights that count, logged."""
        spec = self.spec
        with (
            self.log.paused(),
            self._weights_that_count(),
            evaluating(self.model, compiled=spec.compile),
        ):
            domains = validate(
                self.model,
                self.data.validation,
                spec.validation_tokens_per_domain,
                self.fabric,
                self.output,
            )
        self.log.write_validation(self.done * spec.tokens_per_step, domains)
        return domains

    def _make_average(self) -> WeightAverage | None:
        if self.spec.averaging is None:
            return None
        return WeightAverage(self.spec.averaging, self.spec.steps, list(self.model.parameters()))

    def _weights_that_count(self) -> contextlib.AbstractContextManager[None]:
        """The average, where there is one, in the place of the last weights."""
        return self.average.in_place(self.done) if self.average else contextlib.nullcontext()

    def _facts(self, domains: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
        spec = self.spec
        trained = spec.tokens - spec.start_at
        rounds = sum(at > spec.start_at for at in {*spec.validations_at, spec.tokens})
        validated = sum(int(value["samples"]) for value in domains.values()) * rounds
        flops = forward_flops_per_token(spec.model) * spec.model.sequence_length
        return {
            "parameters": count_parameters(self.model),
            "tokens": spec.tokens,
            "training_seconds": self.log.seconds,
            "training_flops": trained * training_flops_per_token(spec.model),
            "validation_flops": validated * flops,
            "first_loss": self.log.first_loss,
            "validation": domains,
            **self._selection_facts(),
        }

    def _selection_facts(self) -> dict[str, Any]:
        """What choosing samples took; which ones were chosen goes to `read.npy`."""
        if self.selection is None:
            return {}
        write_read(self.output, np.array(self.selection.read, dtype=np.int64))
        return {
            "selection_seconds": self.selection.seconds,
            "selection_flops": selection_flops(self.spec),
        }
