"""Frozen dataclasses to plain JSON values and back; fingerprints of values, digests of files."""

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from curricle.core.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def to_plain(value: Any) -> Any:
    """`value` as JSON values (dict, list, str, int, float, bool, None).

    Raises TypeError for anything without stable bytes: a fingerprint must not depend on a repr.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {_string_key(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError(f"{value} has no JSON form")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"{type(value).__name__} has no stable plain form")


def from_plain(cls: type[T], data: Any) -> T:
    """An instance of the dataclass `cls` from what `to_plain` made of it.

    Raises InputError for unknown or missing keys; types are the writer's responsibility.
    """
    known = {field.name for field in dataclasses.fields(cls)}
    if unknown := sorted(set(data) - known):
        raise InputError(
            f"{cls.__name__}: unknown keys {unknown}",
            expected=f"keys among {sorted(known)}",
            fix="remove them, or use the version of curricle that wrote this",
        )
    hints = typing.get_type_hints(cls)
    try:
        return cls(**{name: _convert(hints[name], item) for name, item in data.items()})
    except TypeError as error:
        raise InputError(
            f"{cls.__name__}: {error}", expected=f"keys {sorted(known)}", fix="add what is missing"
        ) from None


def canonical_json(value: Any) -> str:
    """One spelling for equal values: sorted keys, no spaces, shortest float digits."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(value: Any) -> str:
    """The first 16 hex digits (64 bits) of the SHA-256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _string_key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"mapping key {key!r} is not a string")
    return key


def _convert(hint: Any, item: Any) -> Any:
    if item is None:
        return None
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert(next(part for part in arguments if part is not type(None)), item)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_plain(hint, item)
    if origin is tuple:
        return tuple(_convert(arguments[0], part) for part in item)
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return {key: _convert(arguments[1], part) for key, part in item.items()}
    return item
