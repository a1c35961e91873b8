"""The artifact store: `<root>/<kind>/<name>/<fingerprint>/`, local or on any fsspec file system.

An artifact exists once its `record.json` does, and the record comes last: a local folder is built
beside its place and renamed, a remote one is uploaded and gets its record at the end. Whoever dies
half-way leaves nothing that can be mistaken for an artifact. Claims see to it that one builds where
several want to; a builder that has lost its claim drops what it has built.
"""

import contextlib
import datetime
import functools
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curricle.core import provenance, staging
from curricle.core.claims import (
    Held,
    local_claim,
    local_is_taken,
    remote_claim,
    remote_is_taken,
)
from curricle.core.errors import InputError, IntegrityError
from curricle.core.plain import canonical_json, fingerprint, to_plain
from curricle.core.remote import open_filesystem, reachable, remote_errors, room, unusable

KINDS = (
    "corpus",
    "documents",
    "measurement",
    "tokenizer",
    "tokens",
    "dataset",
    "questions",
    "checkpoint",
    "scores",
    "order",
    "evaluation",
    "ranking",
    "scaling",
    "report",
)
RECORD = "record.json"
STAGING, UNFINISHED, NOTES, CLAIMS = ".staging", ".unfinished", ".studies", ".claims"

Build = Callable[[Path], Mapping[str, Any] | None]


@dataclass(frozen=True, order=True)
class Artifact:
    """A reference to a stored artifact: small enough to pass between flows and tasks."""

    kind: str
    name: str
    fingerprint: str

    @property
    def key(self) -> str:
        """The artifact's folder below the store's root."""
        return f"{self.kind}/{self.name}/{self.fingerprint}"


@dataclass(frozen=True)
class Request:
    """What identifies an artifact: its spec, its inputs and the version of the step that makes it.

    `name` is for people and not part of the identity. `version` is raised when a step's code
    changes what it produces; older artifacts are then made anew and kept apart.
    """

    kind: str
    name: str
    spec: Mapping[str, Any]
    inputs: Mapping[str, Artifact] = field(default_factory=dict)
    version: int = 1

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", self.name), self.name

    @property
    def artifact(self) -> Artifact:
        """The reference that the finished artifact has; computable before it exists."""
        identity = {
            "kind": self.kind,
            "version": self.version,
            "spec": to_plain(self.spec),
            "inputs": {label: item.fingerprint for label, item in self.inputs.items()},
        }
        return Artifact(self.kind, self.name, fingerprint(identity))


class Store:
    """Artifacts below one root, which may be a local path or an fsspec URL such as `s3://bucket/x`.

    With `create` off the root may be absent, and is then an empty store to read from. Raises
    InputError if the root can't be created or written.
    """

    def __init__(self, root: str, *, create: bool = True) -> None:
        self.root = root
        try:
            self.files, self.base = open_filesystem(root)
            if create:
                with remote_errors():
                    self.files.makedirs(self.base, exist_ok=True)
        except (OSError, ValueError, ImportError) as error:
            raise unusable(root, error) from None
        protocol = self.files.protocol
        self.is_local = "file" in ((protocol,) if isinstance(protocol, str) else protocol)
        if self.is_local and create and not os.access(self.base, os.R_OK | os.W_OK | os.X_OK):
            raise unusable(root, PermissionError("no permission to read and write"))
        if self.is_local and Path(self.base).is_file():
            raise unusable(root, NotADirectoryError("is a file"))
        self._cache = Path(self.base) if self.is_local else _cache_folder(root)
        # A local disk fails in ways that are no matter of the address.
        self._reached = (
            contextlib.nullcontext if self.is_local else functools.partial(reachable, root)
        )

    def exists(self, artifact: Artifact) -> bool:
        """Whether the artifact is complete."""
        with self._reached():
            return bool(self.files.exists(f"{self.base}/{artifact.key}/{RECORD}"))

    def record(self, artifact: Artifact) -> dict[str, Any]:
        """The artifact's record. Raises IntegrityError if it is missing or unreadable."""
        try:
            with remote_errors():
                text = self.files.cat_file(f"{self.base}/{artifact.key}/{RECORD}")
            return dict(json.loads(text))
        except (OSError, ValueError) as error:
            raise IntegrityError(f"{artifact.key}/{RECORD}: {error}") from None

    def facts(self, artifact: Artifact) -> dict[str, Any]:
        """The small values the build returned (counts, costs), kept in the record."""
        return dict(self.record(artifact)["facts"])

    def artifacts(self, kind: str = "*") -> Iterator[Artifact]:
        """All complete artifacts, or those of one kind, sorted by key."""
        for path in sorted(self.files.glob(f"{self.base}/{kind}/*/*/{RECORD}")):
            yield Artifact(*path.split("/")[-4:-1])

    def folder(self, artifact: Artifact) -> Path:
        """A local folder with the artifact's files; downloaded once if the store is remote.

        Raises IntegrityError if a file's size isn't what the record says.
        """
        target = self._cache / artifact.key
        if not (target / RECORD).exists():
            self._download(artifact, target)
        for name, entry in self.record(artifact)["files"].items():
            _check_size(target / name, entry["bytes"], artifact)
        return target

    def address(self, artifact: Artifact) -> str:
        """Path or URL of the artifact's folder."""
        return f"{self.root.rstrip('/')}/{artifact.key}"

    def unfinished(self, artifact: Artifact) -> str:
        """Address of a folder in which an unfinished build may keep what it needs to go on.

        It outlives the process that builds, and goes once the artifact is complete.
        """
        return f"{self.root.rstrip('/')}/{UNFINISHED}/{artifact.key}"

    def produce(self, request: Request, build: Build) -> Artifact:
        """The artifact of `request`: found if it is complete, otherwise built and stored.

        `build` fills an empty local folder and may return facts for the record. If it raises,
        nothing is left behind. Whoever wants an artifact that another process builds waits for it.
        Raises InputError if the disk is full or a remote store refuses.
        """
        artifact = request.artifact
        while not self.exists(artifact):
            with room(self._cache), self.claim(artifact.fingerprint) as is_held:
                # Another process may have built it in the meantime.
                if not self.exists(artifact):
                    self._build(request, build, is_held)
        self.drop_unfinished(artifact)
        return artifact

    def _build(self, request: Request, build: Build, is_held: Held) -> None:
        artifact = request.artifact
        with self._staging() as folder:
            facts = build(folder) or {}
            record = _record(request, artifact, folder, facts)
            with self._reached():
                self._commit(artifact, folder, record, is_held)

    @contextlib.contextmanager
    def claim(self, name: str) -> Iterator[Held]:
        """Hold the claim `name` for the block, after waiting for the process that holds it.

        Yields what says whether it is still held.
        """
        path = f"{self.base}/{CLAIMS}/{name}"
        with contextlib.ExitStack() as stack:
            with self._reached():
                claim = local_claim(Path(path)) if self.is_local else remote_claim(self.files, path)
                is_held = stack.enter_context(claim)
            yield is_held

    def being_built(self) -> set[str]:
        """Fingerprints of what somebody builds at this moment, and names of other claims."""
        with self._reached():
            paths = self.files.glob(f"{self.base}/{CLAIMS}/*")
            return {Path(path).name for path in paths if self._is_taken(path)}

    def _is_taken(self, path: str) -> bool:
        return local_is_taken(Path(path)) if self.is_local else remote_is_taken(self.files, path)

    def remove(self, artifact: Artifact) -> None:
        """Delete the artifact, its record first: what is left half-way is no artifact any more."""
        folder = f"{self.base}/{artifact.key}"
        with self._reached():
            self.files.rm_file(f"{folder}/{RECORD}")
            self.files.rm(folder, recursive=True)

    def unfinished_artifacts(self) -> list[Artifact]:
        """The artifacts of which unfinished work is kept."""
        with self._reached():
            folders = self.files.glob(f"{self.base}/{UNFINISHED}/*/*/*")
        return [Artifact(*path.split("/")[-3:]) for path in sorted(folders)]

    def drop_unfinished(self, artifact: Artifact) -> None:
        """Delete the unfinished work on an artifact, if there is any."""
        leftover = f"{self.base}/{UNFINISHED}/{artifact.key}"
        with self._reached(), contextlib.suppress(FileNotFoundError):
            if self.files.exists(leftover):
                self.files.rm(leftover, recursive=True)

    def notes(self) -> dict[str, str]:
        """What studies have noted about themselves, by name."""
        with self._reached():
            paths = self.files.glob(f"{self.base}/{NOTES}/*.json")
            return {Path(path).stem: self.files.cat_file(path).decode() for path in sorted(paths)}

    def write_note(self, name: str, text: str | None) -> None:
        """Replace the note of that name in one step, or delete it (None)."""
        self.write_text(f"{NOTES}/{name}.json", text)

    def page(self, name: str) -> str | None:
        """Address of the page that a study keeps of itself; None if there is none."""
        path = f"{NOTES}/{name}.html"
        with self._reached():
            there = self.files.exists(f"{self.base}/{path}")
        return f"{self.root.rstrip('/')}/{path}" if there else None

    def write_page(self, name: str, text: str | None) -> None:
        """Replace a study's page in one step, or delete it (None) if there is one."""
        if text is not None or self.page(name):
            self.write_text(f"{NOTES}/{name}.html", text)

    def read_text(self, name: str) -> str | None:
        """What the file of that name below the root says; None if there is none."""
        path = f"{self.base}/{name}"
        with self._reached():
            return self.files.cat_file(path).decode() if self.files.exists(path) else None

    def write_text(self, name: str, text: str | None) -> None:
        """Replace the file of that name below the root in one step, or delete it (None)."""
        path = f"{self.base}/{name}"
        with room(self._cache), self._reached():
            if text is None:
                self.files.rm_file(path)
            elif self.is_local:
                partial = Path(f"{path}.{uuid.uuid4().hex}")
                partial.parent.mkdir(parents=True, exist_ok=True)
                try:
                    partial.write_text(text, encoding="utf-8")
                    partial.replace(path)
                finally:
                    partial.unlink(missing_ok=True)
            else:
                self.files.pipe_file(path, text.encode())

    def verify(self, artifact: Artifact) -> list[str]:
        """What is wrong with the artifact's files against the record's sizes and SHA-256 sums."""
        problems = []
        for name, entry in self.record(artifact)["files"].items():
            path = f"{self.base}/{artifact.key}/{name}"
            if not self.files.exists(path):
                problems.append(f"{artifact.key}/{name}: missing")
                continue
            with self.files.open(path, "rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            if digest != entry["sha256"]:
                problems.append(f"{artifact.key}/{name}: SHA-256 differs from the record's")
        return problems

    def sweep(self) -> None:
        """Remove what processes of this machine left half-built when they were killed."""
        staging.sweep(self._cache / STAGING)

    def _staging(self) -> contextlib.AbstractContextManager[Path]:
        return staging.new_folder(self._cache / STAGING)

    def _commit(
        self, artifact: Artifact, folder: Path, record: dict[str, Any], is_held: Held
    ) -> None:
        """Put the files in their place, the record last; nothing once the claim is another's."""
        text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        target = f"{self.base}/{artifact.key}"
        if self.is_local:
            (folder / RECORD).write_text(text, encoding="utf-8")
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.rename(target)
            except OSError:
                # Another process built the same artifact first; its files are as good as ours.
                if not self.exists(artifact):
                    raise
            return
        for name in record["files"]:
            if not is_held():
                return
            self.files.put_file(str(folder / name), f"{target}/{name}")
        if is_held():
            self.files.pipe_file(f"{target}/{RECORD}", text.encode())

    def _download(self, artifact: Artifact, target: Path) -> None:
        partial = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
        for name in (*self.record(artifact)["files"], RECORD):
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            with self._reached():
                self.files.get_file(f"{self.base}/{artifact.key}/{name}", str(partial / name))
        try:
            partial.rename(target)
        except OSError:
            shutil.rmtree(partial)


def open_existing(root: str) -> Store:
    """The store at `root`, to read from. Raises InputError if there is none."""
    store = Store(root, create=False)
    if not store.files.isdir(store.base):
        raise InputError(
            f"store {root}: not there",
            expected="a store that a study has written",
            fix="run the study first, or give the store with --set store=PATH",
        )
    return store


def _record(
    request: Request, artifact: Artifact, folder: Path, facts: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "kind": artifact.kind,
        "name": artifact.name,
        "fingerprint": artifact.fingerprint,
        "version": request.version,
        "spec": json.loads(canonical_json(request.spec)),
        "inputs": {label: item.key for label, item in request.inputs.items()},
        "facts": to_plain(facts),
        "files": {str(path.relative_to(folder)): _describe(path) for path in _files(folder)},
        "code": provenance.code_version(),
        "packages": provenance.package_versions(),
        "device": provenance.device_description(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _describe(path: Path) -> dict[str, Any]:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _check_size(path: Path, expected: int, artifact: Artifact) -> None:
    found = path.stat().st_size if path.exists() else None
    if found != expected:
        raise IntegrityError(
            f"{artifact.key}/{path.name}: {found} bytes where the record says {expected}; "
            f"delete the folder {artifact.key} and run again"
        )


def _cache_folder(root: str) -> Path:
    name = hashlib.sha256(root.encode()).hexdigest()[:16]
    base = os.environ.get("CURRICLE_CACHE") or Path.home() / ".cache" / "curricle"
    return Path(base) / name
