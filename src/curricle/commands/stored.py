"""Artifacts that a command is given as a folder of a store, local or on S3."""

from pathlib import Path
from typing import TYPE_CHECKING

from curricle.core.errors import InputError

if TYPE_CHECKING:
    from curricle.core.store import Artifact, Store


def find_stored(address: str, kind: str) -> "tuple[Store, Artifact]":
    """The store and the artifact of `kind` in STORE/kind/NAME/FINGERPRINT.

    Raises InputError if there is no such artifact.
    """
    from curricle.core.store import Artifact, Store

    absolute = address.rstrip("/") if "://" in address else str(Path(address).absolute())
    root, *key = absolute.rsplit("/", 3)
    if len(key) == 3 and key[0] == kind:
        store, artifact = Store(root, create=False), Artifact(*key)
        if store.exists(artifact):
            return store, artifact
    raise InputError(
        f"{kind} {address}: not there",
        expected=f"STORE/{kind}/NAME/FINGERPRINT with a record.json in it",
        fix="correct the path; curricle verify STORE counts what a store holds",
    )


def tokenizer_of(store: "Store", artifact: "Artifact") -> "Artifact":
    """The tokenizer among the artifacts that `artifact` was made from, by their records."""
    from curricle.core.store import Artifact

    waiting, seen = [artifact], {artifact}
    while waiting:
        inputs = store.record(waiting.pop())["inputs"].values()
        for found in (Artifact(*key.split("/")) for key in inputs):
            if found.kind == "tokenizer":
                return found
            if found not in seen:
                seen.add(found)
                waiting.append(found)
    raise InputError(
        f"{artifact.kind} {artifact.key}: no tokenizer among what it was made from",
        expected="a checkpoint that a study trained",
        fix="give the tokenizer's folder with --tokenizer",
    )
