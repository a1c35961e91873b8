"""What an evaluation has done so far, kept in snapshots so that it survives a kill."""

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from curricle.core.plain import fingerprint
from curricle.core.token_dataset import MANIFEST
from curricle.core.tokenizer_file import TOKENIZER
from curricle.models.checkpoint import SPEC
from curricle.models.interruption import InterruptedJobError, stop_requested
from curricle.models.loading import CONFIG
from curricle.models.placement import SNAPSHOT_SHARE, Placement
from curricle.models.snapshots import Snapshot, Snapshots

State = tuple[Mapping[str, Tensor], Mapping[str, Any]]


class Unfinished:
    """The snapshots of one evaluation, and when the next one is due.

    `identity` is a fingerprint of what decides the result; what was kept for another is not used.
    """

    def __init__(self, placement: Placement, identity: str, output: Path) -> None:
        self._snapshots = Snapshots(placement.unfinished, identity)
        self._output = output
        self._seconds = placement.snapshot_seconds
        self._kept_at = time.monotonic()

    def restore(self) -> Snapshot | None:
        """The newest snapshot, if there is one."""
        return self._snapshots.latest(self._output)

    def look(self, step: int, done: str, state: Callable[[], State]) -> None:
        """Keep `state()`, tensors and facts, after `step` steps if that is due or a stop is wished.

        Raises InterruptedJobError, saying what is `done`, in the second case.
        """
        stop = stop_requested()
        started = time.monotonic()
        if stop or started - self._kept_at > self._seconds:
            self._snapshots.save(step, *state())
            self._kept_at = time.monotonic()
            if self._seconds:
                self._seconds = max(self._seconds, SNAPSHOT_SHARE * (self._kept_at - started))
        if stop:
            raise InterruptedJobError(f"stopped on request after {done}")


def identity_of(folders: Mapping[str, Path], **settings: Any) -> str:
    """A fingerprint of an evaluation: its inputs' files by role, and what else decides it.

    Of a model these are weights and configuration, of a dataset its manifest and tokens. `settings`
    are plain values.
    """
    files = {
        role: {path.name: _digest(path) for path in sorted(_deciding(folder))}
        for role, folder in folders.items()
    }
    return fingerprint({"files": files, **settings})


def _deciding(folder: Path) -> set[Path]:
    """The files of a model, a dataset or a tokenizer that an evaluation depends on."""
    named = {folder / name for name in (CONFIG, SPEC, MANIFEST, TOKENIZER)}
    found = {*folder.glob("*.safetensors"), *folder.glob("tokens-*.bin"), *named}
    return {path for path in found if path.is_file()}


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
