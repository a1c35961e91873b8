"""Summaries of functions and classes in held-out Python files, the raw material of questions.

They come from all held-out files of the environment in turn, not only from those that a cap let
into the corpus, since the hash that holds a file out doesn't depend on what is read.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curricle.recipes.sources.docstrings import Docstring, docstrings_of
from curricle.recipes.sources.installed import InstalledFile
from curricle.recipes.sources.python_environment import decode, python_files
from curricle.recipes.specs.sources import PythonEnvironmentSource, Source

MINIMUM_CHARACTERS, MAXIMUM_CHARACTERS, MINIMUM_WORDS = 20, 100, 4

# Held-out code that is searched per source: ten caps, and no less than this. The minimum holds some
# 1,000 summaries, costs half a second and is enough for 200 questions and more.
MINIMUM_MEGABYTES = 8.0
CAPS = 10

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{2,39}")
_SENTENCE = re.compile(r"[A-Z].*?[a-z)`'\"](?=[.!?](?:\s|$)|$)")
_UNWANTED = re.compile(r">>>|[{}\\]|::|:param|:meth|:class|:func|not yet|[Dd]eprecated")


class Summary(NamedTuple):
    """What `sentence` describes: `name`, in the importable package `subject`, found in `source`."""

    subject: str
    name: str
    sentence: str
    source: str


SCHEMA = pa.schema([(name, pa.string()) for name in Summary._fields])


def held_out_summaries(
    sources: Iterable[Source], is_held_out: Callable[[str], bool], seed: int
) -> list[Summary]:
    """Usable summaries from held-out files of every `python-environment`, none from other sources.

    A summary is the first sentence of a docstring, at most 100 characters long, that doesn't
    contain the name of what it describes.
    """
    files: dict[str, InstalledFile] = {}
    for source in sources:
        if isinstance(source, PythonEnvironmentSource):
            files |= {file.key: file for file in _files(source, is_held_out, seed)}
    return [summary for file in files.values() for summary in _summaries_of(file)]


def write_summaries(path: Path, summaries: Iterable[Summary]) -> None:
    """Store summaries as Parquet, in their order."""
    rows = [summary._asdict() for summary in summaries]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, compression="zstd")


def read_summaries(path: Path) -> list[Summary]:
    """Stored summaries."""
    return [Summary(**row) for row in pq.read_table(path, schema=SCHEMA).to_pylist()]


def first_sentence(docstring: str) -> str | None:
    """The sentence a docstring begins with, without its full stop, or None if it isn't usable."""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    match = _SENTENCE.match(paragraph)
    sentence = match[0] if match else ""
    is_usable = (
        MINIMUM_CHARACTERS <= len(sentence) <= MAXIMUM_CHARACTERS
        and len(sentence.split()) >= MINIMUM_WORDS
        and not _UNWANTED.search(sentence)
    )
    return sentence if is_usable else None


def gives_away(name: str, sentence: str) -> bool:
    """Whether the sentence contains the name, however it is spelt (`get_config`, "Get config")."""
    return _letters(name) in _letters(sentence)


def _files(
    source: PythonEnvironmentSource, is_held_out: Callable[[str], bool], seed: int
) -> Iterator[InstalledFile]:
    left = 1e6 * max(MINIMUM_MEGABYTES, CAPS * source.megabytes_per_domain)
    for file in python_files(source, seed):
        if left <= 0:
            return
        if is_held_out(file.key):
            left -= file.size
            yield file


def _summaries_of(file: InstalledFile) -> Iterator[Summary]:
    subject = file.path.partition("/")[0].removesuffix(".py")
    for docstring in _docstrings(file):
        sentence = first_sentence(docstring.text)
        if (
            sentence
            and _NAME.fullmatch(docstring.name)
            and not docstring.name.lower().startswith("test")
            and not gives_away(docstring.name, sentence)
        ):
            source = f"{file.key}::{docstring.qualified_name}"
            yield Summary(subject, docstring.name, sentence, source)


def _docstrings(file: InstalledFile) -> list[Docstring]:
    """The file's docstrings; none if it can't be read or parsed, as other files will do as well."""
    try:
        return docstrings_of(decode(file.read_bytes()))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return []


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()
