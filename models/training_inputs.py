"""What a training job reads, checked against its spec before any time is spent."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from curricle.core.errors import InputError
from curricle.core.jobs import TrainingSpec
from curricle.core.materialised_order import MaterialisedReading
from curricle.core.order_file import ORDER, Order
from curricle.core.plain import file_sha256, fingerprint, to_plain
from curricle.core.reading import DatasetReading, Reading
from curricle.core.scores_file import SCORES, read_scores
from curricle.core.token_dataset import TokenDataset
from curricle.core.training_rules import check_run
from curricle.models.branch_points import branch_point_name, load_branch_point
from curricle.models.placement import Placement
from curricle.models.snapshots import Snapshot
from curricle.models.validation import select_samples

POLICIES = ("rho-loss", "entropy-v")


@dataclass(frozen=True)
class TrainingInputs:
    """What a run reads, and its held-out data; `identity` tells its snapshots from others'.

    `start` is the state that a branch begins with, `irreducible` a loss for each sample of the
    dataset, where the run chooses by it.
    """

    reading: Reading
    validation: TokenDataset
    identity: str
    start: Snapshot | None
    irreducible: npt.NDArray[np.float64] | None = None

    @property
    def order(self) -> Order:
        """Ids of the samples in reading order."""
        return self.reading.order

    def micro_batches(self, spec: TrainingSpec, step: int, rank: int, ranks: int) -> Tensor:
        """This rank's share of the batch at `step`: token ids (micro-batches, samples, T + 1).

        The global batch is the same whatever the number of ranks; each micro-batch is shared out
        evenly. With a selection there are as many micro-batches as the candidates fill.
        """
        micro = spec.micro_batch_size or spec.batch_size
        count = spec.candidates_per_step
        places = np.arange(step * count, (step + 1) * count).reshape(-1, ranks, micro // ranks)
        windows = self.reading.read(places[:, rank].reshape(-1))
        return torch.from_numpy(windows).view(len(places), micro // ranks, -1)


def open_inputs(
    spec: TrainingSpec, inputs: Mapping[str, Path], placement: Placement
) -> TrainingInputs:
    """Open `dataset`, `validation`, `order` and, for a branch, `start`.

    With a materialised order `dataset` isn't needed. Raises InputError unless they and the spec
    fit.
    """
    check_run(spec, placement.ranks)
    length = spec.model.sequence_length
    reading = _open_reading(inputs, length, placement.materialised)
    samples = reading.dataset.samples
    _check_order(spec, samples, len(reading.order))
    irreducible = _read_irreducible(spec, inputs, samples, placement.ranks)
    validation = TokenDataset(inputs["validation"], length)
    select_samples(validation, spec.validation_tokens_per_domain)
    _check_vocabulary(spec, "training", reading.dataset.vocabulary_size)
    _check_vocabulary(spec, "validation", validation.manifest["vocabulary_size"])
    parts = {
        "spec": to_plain(spec),
        "order": file_sha256(inputs["order"] / ORDER),
        "dataset": reading.dataset.manifest,
    }
    if irreducible is not None:
        parts["irreducible"] = file_sha256(inputs["irreducible"] / SCORES)
    start = None
    if spec.start_at:
        start = load_branch_point(inputs["start"], spec)
        parts["start"] = file_sha256(inputs["start"] / branch_point_name(spec.start_at))
    return TrainingInputs(reading, validation, fingerprint(parts), start, irreducible)


def _open_reading(inputs: Mapping[str, Path], length: int, materialised: str | None) -> Reading:
    if materialised is not None:
        return MaterialisedReading(materialised, inputs["order"], length)
    return DatasetReading(inputs["dataset"], inputs["order"], length)


def _read_irreducible(
    spec: TrainingSpec, inputs: Mapping[str, Path], samples: int, devices: int
) -> npt.NDArray[np.float64] | None:
    """The losses that RHO-LOSS compares with. Raises InputError if a selection can't be made."""
    if spec.selection is None:
        return None
    if spec.selection.policy not in POLICIES or devices > 1:
        raise InputError(
            f"selection by {spec.selection.policy!r} on {devices} devices",
            expected=f"one of {POLICIES}, on one device",
            fix="correct the policy, or set hardware.devices and hardware.nodes to 1",
        )
    if spec.selection.policy != "rho-loss":
        return None
    losses = read_scores(inputs["irreducible"], "irreducible_loss")
    if len(losses) != samples:
        raise InputError(
            f"{len(losses)} irreducible losses for a dataset of {samples} samples",
            expected="one for each sample",
            fix="score the dataset that the run reads",
        )
    return losses


def _check_order(spec: TrainingSpec, samples: int, ordered: int) -> None:
    if samples < spec.batch_size:
        raise InputError(
            f"dataset of {samples} samples",
            expected=f"at least one batch of {spec.batch_size}",
            fix="give it more text, or lower batch_size",
        )
    if ordered != spec.steps * spec.candidates_per_step:
        expected = spec.steps * spec.candidates_per_step
        raise InputError(
            f"order of {ordered} samples",
            expected=f"{expected} ({spec.steps} steps of {spec.candidates_per_step})",
            fix="build the order for this run's tokens",
        )


def _check_vocabulary(spec: TrainingSpec, role: str, found: int) -> None:
    if found != spec.model.vocabulary_size:
        raise InputError(
            f"{role} data: tokens of a vocabulary of {found}",
            expected=f"the model's {spec.model.vocabulary_size}",
            fix="prepare the dataset with the tokenizer of this model",
        )
