"""Snapshots: what lets a job that was killed go on where it was, to the same result.

A snapshot is `<step>.safetensors` and, written after it, `<step>.json` with the job's identity, its
small facts, the seconds that it has taken and the SHA-256 of every file that belongs to it. Each
file is written beside its place and renamed (object stores do as much by themselves), so that
whatever dies half-way leaves the snapshot before it in force. Nothing here is ever unpickled, and
nothing outside the job's own folder is ever deleted.
"""

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from curricle.core.errors import IntegrityError, JobError
from curricle.core.plain import file_sha256
from curricle.core.remote import open_filesystem, remote_errors
from curricle.models.attempts import go_on_after, seconds_so_far

KEPT = 2
# A JSON file of another shape raises the middle ones.
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, SafetensorError, IntegrityError)
_NAME = re.compile(r"(\d{12})\.json")
_HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{32}")
_TENSORS = re.compile(r"\d{12}\.safetensors")


@dataclass(frozen=True)
class Snapshot:
    """A job's state after `step` steps."""

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class Snapshots:
    """The snapshots of one job, in a folder of its own (local or an fsspec address).

    `identity` is a fingerprint of everything that decides the job's result: a snapshot of another
    one is refused. With `url` None nothing is kept.
    """

    def __init__(self, url: str | None, identity: str) -> None:
        self._identity = identity
        self._outputs: dict[str, str] = {}
        self._refused: set[int] = set()
        self._files: Any = None
        self._folder = ""
        if url:
            self._files, self._folder = open_filesystem(url)
        self._is_local = isinstance(self._files, LocalFileSystem)

    @property
    def local_folder(self) -> Path | None:
        """Where they lie, if that is a local disk."""
        return Path(self._folder) if self._is_local else None

    def bytes_there(self) -> int:
        """What a local folder holds already."""
        return sum(path.stat().st_size for path in Path(self._folder).glob("*"))

    def save(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        facts: Mapping[str, Any],
        outputs: Sequence[Path] = (),
    ) -> None:
        """Keep the state after `step` steps, and what the job has written so far (`outputs`).

        Raises JobError, with the snapshot before still in force, if it can't be written.
        """
        if self._files is None:
            return
        try:
            with remote_errors():
                self._write(step, tensors, facts, outputs)
                self._refused.discard(step)
                self._drop_older()
        except (OSError, SafetensorError) as error:
            raise JobError(f"no snapshot at step {step} in {self._folder}: {error}") from None

    def _write(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        facts: Mapping[str, Any],
        outputs: Sequence[Path],
    ) -> None:
        self._files.makedirs(self._folder, exist_ok=True)
        for path in outputs:
            if path.name not in self._outputs:
                self._outputs[path.name] = self._put(path.name, _copier(path))
        state = {key: tensor.contiguous() for key, tensor in tensors.items()}
        digest = self._put(_tensors_name(step), lambda path: save_file(state, path))
        content = json.dumps(
            {
                "identity": self._identity,
                "files": {_tensors_name(step): digest, **self._outputs},
                "facts": dict(facts),
                "seconds": seconds_so_far(),
            }
        )
        self._put(_facts_name(step), lambda path: _write_text(path, content))

    def describe(self, done: int) -> str:
        """Where the last good snapshot after at most `done` steps is, for an error message."""
        steps = [step for step in self._good_steps() if step <= done]
        if not steps:
            return "there is no snapshot before it"
        return f"the last good snapshot is {self._folder}/{_tensors_name(steps[-1])}"

    def sweep(self) -> None:
        """Remove what a writer that was killed left half-written in a local folder."""
        folder = self.local_folder
        if folder is None or not folder.is_dir():
            return
        for path in folder.iterdir():
            is_orphan = _TENSORS.fullmatch(path.name) and not path.with_suffix(".json").exists()
            if is_orphan or _HALF_WRITTEN.fullmatch(path.name):
                path.unlink(missing_ok=True)

    def latest(self, output: Path) -> Snapshot | None:
        """The newest snapshot that is whole and of this job; its outputs are put into `output`.

        The time that it tells counts as the job's (`attempts`).
        A damaged or foreign one is named on standard error, and the one before it is tried. Raises
        JobError if the folder can't be reached: to begin again then would be a waste.
        """
        self.sweep()
        try:
            with remote_errors():
                return self._newest(output)
        except OSError as error:
            raise JobError(f"the snapshots in {self._folder} can't be read: {error}") from None

    def _newest(self, output: Path) -> Snapshot | None:
        for step in sorted(self._steps(), reverse=True):
            try:
                return self._load(step, output)
            except (FileNotFoundError, *_DAMAGED) as error:
                name = f"{self._folder}/{_facts_name(step)}"
                print(f"snapshot {name} is not used: {error}", file=sys.stderr)
                self._refused.add(step)
        return None

    def _load(self, step: int, output: Path) -> Snapshot:
        content = json.loads(self._files.cat_file(f"{self._folder}/{_facts_name(step)}"))
        if content["identity"] != self._identity:
            raise IntegrityError("it belongs to another job")
        files: dict[str, str] = content["files"]
        with tempfile.TemporaryDirectory(dir=output) as scratch:
            for name, digest in files.items():
                if Path(name).name != name:
                    raise IntegrityError(f"{name!r} is not a file of its folder")
                self._files.get_file(f"{self._folder}/{name}", str(Path(scratch, name)))
                if file_sha256(Path(scratch, name)) != digest:
                    raise IntegrityError(f"{name} is damaged")
            tensors = load_file(Path(scratch, _tensors_name(step)))
            kept = {name: digest for name, digest in files.items() if name != _tensors_name(step)}
            for name in kept:
                Path(scratch, name).rename(output / name)
        self._outputs = kept
        # Snapshots of earlier versions don't tell.
        go_on_after(float(content.get("seconds", 0.0)))
        return Snapshot(step, tensors, content["facts"])

    def _steps(self) -> list[int]:
        if self._files is None or not self._files.isdir(self._folder):
            return []
        names = [Path(path).name for path in self._files.ls(self._folder, detail=False)]
        return [int(match[1]) for name in names if (match := _NAME.fullmatch(name))]

    def _good_steps(self) -> list[int]:
        """Those that weren't refused, ascending."""
        return sorted(set(self._steps()) - self._refused)

    def _put(self, name: str, write: Callable[[Path], None]) -> str:
        """Write a file of the folder, whole or not at all; returns its SHA-256."""
        parent = self._folder if self._is_local else tempfile.gettempdir()
        scratch = Path(parent, f".{name}.{uuid.uuid4().hex}")
        try:
            write(scratch)
            digest = file_sha256(scratch)
            if self._is_local:
                _flush_to_disk(scratch)
                scratch.rename(Path(self._folder, name))
            else:
                self._files.put_file(str(scratch), f"{self._folder}/{name}")
        finally:
            scratch.unlink(missing_ok=True)
        return digest

    def _drop_older(self) -> None:
        for step in self._good_steps()[:-KEPT]:
            for name in (_facts_name(step), _tensors_name(step)):
                with contextlib.suppress(FileNotFoundError):
                    self._files.rm_file(f"{self._folder}/{name}")


def _tensors_name(step: int) -> str:
    return f"{step:012}.safetensors"


def _facts_name(step: int) -> str:
    return f"{step:012}.json"


def _copier(source: Path) -> Callable[[Path], None]:
    def copy(target: Path) -> None:
        shutil.copyfile(source, target)

    return copy


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _flush_to_disk(path: Path) -> None:
    """Without it a power cut may leave a renamed file without its content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
