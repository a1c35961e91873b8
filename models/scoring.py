"""Losses of a dataset's samples under one proxy's checkpoints, from which scores are made."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from curricle.core.errors import InputError
from curricle.core.jobs import ModelSpec, ScoringPart, ScoringSpec
from curricle.core.plain import fingerprint, from_plain, to_plain
from curricle.core.token_dataset import MANIFEST, TokenDataset
from curricle.kernels.onednn import exact_onednn
from curricle.models.checkpoint import SPEC, checkpoint_name, load_model
from curricle.models.decoder import Decoder
from curricle.models.flops import forward_flops_per_token
from curricle.models.half_losses import half_losses
from curricle.models.interruption import InterruptedJobError, stop_requested
from curricle.models.placement import Placement
from curricle.models.snapshots import Snapshots

LOSSES = "losses.npy"
# About half a minute on one core for the smallest models: what an interruption may cost.
SAMPLES_BETWEEN_LOOKS = 1024


@exact_onednn()
def score(
    part: ScoringPart, inputs: Mapping[str, Path], output: Path, placement: Placement
) -> dict[str, Any]:
    """Losses of the samples of a part under the proxy in `inputs["checkpoint"]`.

    Writes `losses.npy`: nats per token, shape (checkpoints, 2 halves, samples), the early
    checkpoint first. With a place for unfinished work it goes on where it was interrupted. Raises
    InputError unless the early checkpoint lies before the late ones.
    """
    _check_points(part.scoring)
    work = _Work(part, inputs, output, placement)
    work.resume()
    for number, at in enumerate((part.scoring.early, *part.scoring.late)):
        if work.done >= (number + 1) * part.samples:
            continue
        model = load_model(inputs["checkpoint"], checkpoint_name(at)).to(placement.device)
        work.losses_under(model, number)
    np.save(output / LOSSES, work.losses, allow_pickle=False)
    work.save()
    text = (inputs["checkpoint"] / SPEC).read_text(encoding="utf-8")
    shape = from_plain(ModelSpec, json.loads(text))
    tokens = part.samples * part.sequence_length * len(work.losses)
    return {"samples": part.samples, "flops": tokens * forward_flops_per_token(shape)}


class _Work:
    """The losses so far; `done` counts samples over all checkpoints."""

    def __init__(
        self,
        part: ScoringPart,
        inputs: Mapping[str, Path],
        output: Path,
        placement: Placement,
    ) -> None:
        self.part, self.output = part, output
        self.dataset = TokenDataset(inputs["dataset"], part.sequence_length)
        _check_vocabulary(self.dataset, inputs["checkpoint"])
        checkpoints = 1 + len(part.scoring.late)
        self.losses = np.zeros((checkpoints, 2, part.samples))
        identity = fingerprint(
            {
                "part": to_plain(part),
                "dataset": (inputs["dataset"] / MANIFEST).read_text(encoding="utf-8"),
                "checkpoint": inputs["checkpoint"].name,
            }
        )
        self.snapshots = Snapshots(placement.unfinished, identity)
        self.seconds, self.saved_at = placement.snapshot_seconds, time.monotonic()
        self.done = 0

    def resume(self) -> None:
        """Go on from what an earlier attempt left."""
        snapshot = self.snapshots.latest(self.output)
        if snapshot is not None:
            self.losses = snapshot.tensors["losses"].numpy().copy()
            self.done = snapshot.step

    def losses_under(self, model: Decoder, number: int) -> None:
        """All samples of the part that checkpoint `number` hasn't seen yet."""
        first = self.done - number * self.part.samples
        for start in range(first, self.part.samples, SAMPLES_BETWEEN_LOOKS):
            stop = min(start + SAMPLES_BETWEEN_LOOKS, self.part.samples)
            samples = self.part.start + np.arange(start, stop, dtype=np.int64)
            self.losses[number, :, start:stop] = half_losses(model, self.dataset, samples)
            self.done = number * self.part.samples + stop
            self._look()

    def save(self) -> None:
        """Leave what is done for a later attempt."""
        self.snapshots.save(self.done, {"losses": torch.from_numpy(self.losses)}, {})
        self.saved_at = time.monotonic()

    def _look(self) -> None:
        stop = stop_requested() and self.done < self.losses.shape[0] * self.part.samples
        if stop or time.monotonic() - self.saved_at > self.seconds:
            self.save()
        if stop:
            raise InterruptedJobError(f"stopped on request after {self.done} losses")


def _check_vocabulary(dataset: TokenDataset, proxy: Path) -> None:
    shape = from_plain(ModelSpec, json.loads((proxy / SPEC).read_text(encoding="utf-8")))
    if (size := dataset.manifest["vocabulary_size"]) != shape.vocabulary_size:
        raise InputError(
            f"{dataset.folder}: tokens of a vocabulary of {size}",
            expected=f"the proxy's {shape.vocabulary_size}",
            fix="score the dataset with a proxy that was trained on its tokenizer",
        )


def _check_points(spec: ScoringSpec) -> None:
    if not spec.late or spec.early >= min(spec.late):
        raise InputError(
            f"early {spec.early} tokens, late {list(spec.late)}",
            expected="an early checkpoint before one or more late ones",
            fix="correct scoring.early and scoring.late",
        )
