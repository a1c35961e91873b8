"""The full state of a run at some point, kept so that other runs can branch off there.

A branch reads what its own order says from there on, at its own learning rates. A run that keeps
the peak rate is so the trunk of several budgets, each ended by a short decay of its own.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from curricle.core.errors import InputError, IntegrityError
from curricle.core.jobs import TrainingSpec
from curricle.models.snapshots import Snapshot

_FACTS = "facts"


def branch_point_name(tokens: int) -> str:
    """File name of the state after `tokens` tokens."""
    return f"state-at-{tokens}.safetensors"


def save_branch_point(
    folder: Path, tokens: int, state: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> Path:
    """Write the state after `tokens` tokens, with the log's `facts`; returns the file."""
    path = folder / branch_point_name(tokens)
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, path, metadata={_FACTS: json.dumps(dict(facts))})
    return path


def load_branch_point(folder: Path, spec: TrainingSpec) -> Snapshot:
    """The state that the run of `spec` begins with, as if it were a snapshot of its own.

    Raises InputError if the earlier run kept none there, IntegrityError for a damaged file.
    """
    path = folder / branch_point_name(spec.start_at)
    if not path.is_file():
        raise InputError(
            f"{folder.name}: no state after {spec.start_at} tokens",
            expected=f"a run that keeps one: states_at with {spec.start_at}",
            fix="add it, or start from another point",
        )
    try:
        with safe_open(path, framework="pt") as stream:
            facts = json.loads(stream.metadata()[_FACTS])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - no dict
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise IntegrityError(f"{path}: {error}") from None
    return Snapshot(spec.start_at // spec.tokens_per_step, tensors, facts)
