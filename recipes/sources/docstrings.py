"""Docstrings of Python code, taken with `ast`; nothing is imported or run."""

import ast
import contextlib
import gc
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

MODULE = "<module>"
LONGEST_LINE = 120

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Docstring(NamedTuple):
    """A cleaned docstring and the qualified name of what it describes, unique in its file."""

    qualified_name: str
    text: str

    @property
    def name(self) -> str:
        """The last part of the qualified name, as one would call it."""
        return self.qualified_name.rpartition(".")[2].partition("#")[0]


def docstrings_of(code: str, minimum_characters: int = 1) -> list[Docstring]:
    """Docstrings of the module, its classes and functions, in order of appearance.

    A name that occurs again in the file (an alternative definition) gets `#2`, `#3`, … appended.
    Raises SyntaxError or ValueError if this Python can't parse the code.
    """
    if not _may_have_docstring(code, minimum_characters):
        return []
    found: list[Docstring] = []
    seen: Counter[str] = Counter()
    for name, node in _documented(_parse(code)):
        seen[name] += 1
        text = ast.get_docstring(node)
        if text and len(text) >= minimum_characters:
            number = f"#{seen[name]}" if seen[name] > 1 else ""
            found.append(Docstring(name + number, text))
    return found


def _may_have_docstring(code: str, minimum_characters: int) -> bool:
    """Whether the code can hold a docstring of that length: a cheap test that spares some parsing.

    Docstrings too long for one line stand between triple quotes.
    """
    if minimum_characters <= LONGEST_LINE:
        return True
    return any(
        len(piece) >= minimum_characters
        for quotes in ('"""', "'''")
        for piece in code.split(quotes)[1:]
    )


def _parse(code: str) -> ast.Module:
    with _without_garbage_collection(), warnings.catch_warnings():
        # Invalid escapes in other people's files are none of our user's business.
        warnings.simplefilter("ignore")
        return ast.parse(code)


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Parsing makes many small objects at once; the collector's passes would take a third of it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _documented(module: ast.Module) -> Iterator[tuple[str, _Documented]]:
    yield MODULE, module
    yield from _definitions(module.body, "")


def _definitions(
    statements: list[ast.stmt], prefix: str
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Classes and functions in `statements`, also inside `if`, `try` and `with`, not in functions.

    Functions inside functions are left out: nobody can call them by name.
    """
    for node in statements:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield prefix + node.name, node
            yield from _definitions(node.body, f"{prefix}{node.name}.")
        else:
            for block in ("body", "orelse", "finalbody"):
                yield from _definitions(getattr(node, block, []), prefix)
