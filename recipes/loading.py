"""From a YAML file (or the name of a shipped study) and `--set` overrides to a `Study`."""

import types
import typing
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Tag, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from curricle.core.errors import InputError
from curricle.recipes.ladder import LadderStudy
from curricle.recipes.study import Study
from curricle.recipes.study_files import (
    EXTENDS,
    Location,
    StudyFile,
    merged,
    place_of,
    read_study_files,
    suggest,
)

__all__ = ["AnyStudy", "LadderStudy", "load_any", "load_ladder", "load_study"]

AnyStudy = Study | LadderStudy


def load_study(study: str, overrides: Sequence[str] = ()) -> Study:
    """The study of a file path or catalogue name, with `key.path=value` overrides applied.

    Raises InputError that names file, line, key, what was found and what was expected.
    """
    found = load_any(study, overrides)
    if isinstance(found, Study):
        return found
    raise InputError(
        f"study {study!r} is a ladder: it has the key scaling",
        expected="a study that compares recipes",
        fix=f"curricle scale {study}",
    )


def load_ladder(study: str, overrides: Sequence[str] = ()) -> LadderStudy:
    """The same for a study with the key `scaling`."""
    found = load_any(study, overrides)
    if isinstance(found, LadderStudy):
        return found
    raise InputError(
        f"study {study!r} has no key scaling",
        expected="a ladder, such as curriculum-scaling",
        fix=f"curricle run {study}",
    )


def load_any(study: str, overrides: Sequence[str] = ()) -> AnyStudy:
    """A study of either form; the key `scaling` tells them apart."""
    files = read_study_files(study)
    tree = merged(files)
    for override in overrides:
        _apply_override(tree, override)
    model: type[AnyStudy] = LadderStudy if "scaling" in tree else Study
    try:
        return model.model_validate(_without_comments(tree))
    except ValidationError as error:
        raise _explain(error, tree, files, overrides, model) from None


def _apply_override(tree: CommentedMap, override: str) -> None:
    key, separator, text = override.partition("=")
    parts = key.split(".")
    if not separator or not all(parts):
        raise InputError(
            f"--set {override}", expected="KEY.PATH=VALUE", fix="--set proxy.tokens=100000"
        )
    try:
        value = YAML(typ="rt").load(text)
    except YAMLError:
        raise InputError(
            f"--set {override}", expected="a YAML value after =", fix="quote the value"
        ) from None
    node = tree
    for depth, part in enumerate(parts[:-1]):
        if node.get(part) is None:
            node[part] = CommentedMap()
        node = node[part]
        if not isinstance(node, CommentedMap):
            raise InputError(
                f"--set {override}: {'.'.join(parts[: depth + 1])} is {_short(node)}",
                expected="a key with keys below it",
                fix="shorten the path",
            )
    node[parts[-1]] = value


def _without_comments(node: Any) -> Any:
    """Plain Python containers; lists as tuples, since the study is frozen and strict."""
    if isinstance(node, CommentedMap):
        return {key: _without_comments(value) for key, value in node.items()}
    if isinstance(node, (CommentedSeq, list)):
        return tuple(_without_comments(value) for value in node)
    if isinstance(node, float):
        return float(node)
    if isinstance(node, int) and not isinstance(node, bool):
        return int(node)
    return str(node) if isinstance(node, str) else node


def _explain(
    error: ValidationError,
    tree: CommentedMap,
    files: Sequence[StudyFile],
    overrides: Sequence[str],
    model: type[AnyStudy],
) -> InputError:
    # A misspelt key is also a missing one: the misspelling is what helps.
    errors = error.errors(include_url=False)
    first = min(errors, key=lambda one: one["type"] != "extra_forbidden")
    location = _location(first["loc"], tree, is_missing=first["type"] == "missing")
    key = ".".join(str(part) for part in location)
    overridden = any(_within(key, override.partition("=")[0]) for override in overrides)
    place = "--set " if overridden else f"{place_of(files, location)}: "
    where = place + (f"{key}: " if key else "")
    context = first.get("ctx", {})
    if first["type"] == "rule":
        return InputError(
            where + context["found"], expected=context["expected"], fix=context["fix"]
        )
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1], model)
        found = f"{where}unknown key"
        fix = suggest(str(location[-1]), known) or "remove it"
        return InputError(found, expected=f"one of {', '.join(known)}", fix=fix)
    if first["type"] == "missing":
        beside = [str(one["loc"][-1]) for one in errors if _is_missing_beside(one, first)]
        keys = ", ".join(f"{name}:" for name in beside)
        expected = f"this key, and {', '.join(beside[1:])}" if beside[1:] else "this key"
        return InputError(f"{where}missing", expected=expected, fix=f"add {keys}")
    if first["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return _explain_tag(where, context, first["input"])
    expected = first["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return InputError(
        f"{where}{_short(first['input'])}", expected=expected, fix="correct the value"
    )


def _is_missing_beside(error: ErrorDetails, first: ErrorDetails) -> bool:
    return error["type"] == "missing" and error["loc"][:-1] == first["loc"][:-1]


def _within(key: str, ancestor: str) -> bool:
    return key == ancestor or key.startswith(f"{ancestor}.")


def _explain_tag(where: str, context: dict[str, Any], given: Any) -> InputError:
    tags = [tag.strip(" '") for tag in context.get("expected_tags", "").split(",")]
    key = context["discriminator"].strip("'")
    if "tag" not in context:
        return InputError(f"{where}{_short(given)}", expected=f"a key {key}", fix=f"add {key}:")
    fix = suggest(context["tag"], tags) or f"use one of them as {key}"
    found = f"{where}{key} is {context['tag']!r}"
    return InputError(found, expected=f"one of {', '.join(tags)}", fix=fix)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _location(loc: Location, tree: CommentedMap, *, is_missing: bool) -> Location:
    """`loc` without the tags that pydantic puts into it for unions and mappings' keys.

    A key that is missing is its last part, although it isn't there.
    """
    location: list[int | str] = []
    node: Any = tree
    for position, part in enumerate(loc):
        inside = (isinstance(node, CommentedMap) and part in node) or (
            isinstance(node, list) and isinstance(part, int)
        )
        if inside:
            node = node[part]
        if inside or (is_missing and position == len(loc) - 1):
            location.append(part)
    return tuple(location)


def _known_keys(loc: Location, model: type[AnyStudy]) -> list[str]:
    """The keys that the study's model allows at `loc`."""
    current: Any = model
    for part in loc:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(part))
            if field is None:
                continue
            current = _innermost(field.annotation, str(part))
        else:
            current = _innermost(current, str(part))
    is_model = isinstance(current, type) and issubclass(current, BaseModel)
    keys = current.model_fields if is_model else ()
    return sorted([*keys, EXTENDS] if current is Study else keys)


def _innermost(annotation: Any, part: str) -> Any:
    """The model inside `annotation`; of a tagged union the member whose tag is `part`."""
    while not isinstance(annotation, type):
        arguments = [item for item in typing.get_args(annotation) if item is not type(None)]
        origin = typing.get_origin(annotation)
        if origin in (typing.Union, types.UnionType) and len(arguments) > 1:
            members = [item for item in arguments if _tag(item) == part]
            if not members:
                return annotation
            annotation = members[0]
        elif origin is typing.Annotated or len(arguments) == 1 or origin is tuple:
            annotation = arguments[0]
        else:
            annotation = arguments[-1]
    return annotation


def _tag(model: Any) -> str | None:
    """What pydantic calls a member of a tagged union."""
    if tags := [one for one in typing.get_args(model)[1:] if isinstance(one, Tag)]:
        return tags[0].tag
    fields: dict[str, Any] = getattr(model, "model_fields", {})
    for name in ("step", "source", "pacing"):
        if name in fields:
            return str(typing.get_args(fields[name].annotation)[0])
    return None
