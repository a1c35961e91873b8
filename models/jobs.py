"""The kinds of job a worker can run: functions of (spec, inputs, output folder, placement)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curricle.core.errors import InputError
from curricle.core.jobs import (
    ChoicesSpec,
    MultipleChoiceSpec,
    NgramSpec,
    PerplexitySpec,
    SampleStatisticsSpec,
    ScoringPart,
    SharpnessSpec,
    StartSpec,
    TrainingSpec,
)
from curricle.core.plain import from_plain, to_plain
from curricle.models.attempts import EARLIER, begin_attempt, earlier_seconds
from curricle.models.placement import Placement


@dataclass(frozen=True)
class Job:
    """One unit of work: a spec of `core.jobs`, input folders by role, an empty output folder.

    `unfinished` is a folder that outlives the process, for the job's snapshots, `materialised` the
    address of a training run's samples in reading order (see `Placement`).
    """

    kind: str
    spec: Any
    inputs: Mapping[str, Path]
    output: Path
    unfinished: str | None = None
    materialised: str | None = None

    def to_message(self, placement: Placement) -> dict[str, Any]:
        """The job as JSON values, for the way to a worker process."""
        placement = replace(placement, unfinished=self.unfinished, materialised=self.materialised)
        return {
            "kind": self.kind,
            "spec": to_plain(self.spec),
            "inputs": {role: str(path) for role, path in self.inputs.items()},
            "output": str(self.output),
            "placement": to_plain(placement),
        }


def run_job(message: Mapping[str, Any]) -> dict[str, Any]:
    """Run the job of a message and return its facts (small JSON values).

    Among them are the seconds of earlier attempts, which its snapshots tell.
    """
    import torch

    begin_attempt()
    function, spec_class = _job_kind(message["kind"])
    spec = from_plain(spec_class, message["spec"])
    # Another thread count sums in another order: the spec fixes it, for equal last bits.
    torch.set_num_threads(spec.threads)
    inputs = {role: Path(path) for role, path in message["inputs"].items()}
    placement = from_plain(Placement, message["placement"])
    facts = function(spec, inputs, Path(message["output"]), placement)
    return {**facts, EARLIER: earlier_seconds()}


def _job_kind(kind: str) -> tuple[Callable[..., dict[str, Any]], type[Any]]:
    from curricle.models.choices import choices
    from curricle.models.multiple_choice import multiple_choice
    from curricle.models.ngrams import measure_ngrams
    from curricle.models.perplexity import perplexity
    from curricle.models.sample_statistics import sample_statistics
    from curricle.models.scoring import score
    from curricle.models.sharpness import sharpness
    from curricle.models.start import measure_start
    from curricle.models.training import train

    kinds: dict[str, tuple[Callable[..., dict[str, Any]], type[Any]]] = {
        "train": (train, TrainingSpec),
        "score": (score, ScoringPart),
        "sample-statistics": (sample_statistics, SampleStatisticsSpec),
        "perplexity": (perplexity, PerplexitySpec),
        "multiple-choice": (multiple_choice, MultipleChoiceSpec),
        "choices": (choices, ChoicesSpec),
        "sharpness": (sharpness, SharpnessSpec),
        "start": (measure_start, StartSpec),
        "n-grams": (measure_ngrams, NgramSpec),
    }
    if kind not in kinds:
        raise InputError(f"job kind {kind!r}", expected=f"one of {sorted(kinds)}", fix="choose one")
    return kinds[kind]
