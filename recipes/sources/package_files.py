"""What kind of document a file of a Python package holds, and the text rules of each kind."""

import posixpath
import re
from collections.abc import Iterator

from curricle.recipes.specs.sources import HEADERS, JAVASCRIPT, LICENCES, PROSE, PYTHON

MINIMUM_CHARACTERS, MAXIMUM_CHARACTERS = 200, 20_000
# Generated files of megabytes would otherwise fill a domain's cap alone.
MAXIMUM_SHARE_OF_CAP = 0.1

# Readable JavaScript in installed packages has 25 to 40 characters a line, bundles hundreds; a
# single data URL in a readable file may be long.
MAXIMUM_MEAN_LINE, MAXIMUM_LINE = 80, 2_500

# Below these, text files of installed packages are tables, word lists, entry points and the like.
MINIMUM_LETTER_SHARE = 0.65
MINIMUM_WORDS_PER_LINE = 2.5
MINIMUM_SENTENCES_PER_WORD = 0.001

_KIND_OF_SUFFIX = {
    ".py": PYTHON,
    **dict.fromkeys((".h", ".hpp", ".cuh", ".hh"), HEADERS),
    **dict.fromkeys((".js", ".mjs"), JAVASCRIPT),
    **dict.fromkeys((".md", ".rst", ".txt"), PROSE),
}
_LICENCE_NAME = re.compile(r"(LICEN[SC]E|COPYING|NOTICE)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[^\W\d_)\"'`]{2}[)\"'`]*[.!?](?:\s|$)")


def kind_of_path(path: str) -> str | None:
    """The domain that a file of this name feeds (`python` also feeds `docstrings`), or None.

    A licence's name begins with LICENSE, LICENCE, COPYING or NOTICE. What merely contains such a
    word (the notices that bundlers write beside each chunk) is neither licence nor prose.
    """
    name = posixpath.basename(path)
    suffix = posixpath.splitext(name)[1]
    if path.endswith(".dist-info/METADATA"):
        return PROSE
    kind = _KIND_OF_SUFFIX.get(suffix)
    if kind in (None, PROSE) and _LICENCE_NAME.search(name):
        is_text = kind is PROSE or suffix == suffix.upper()  # LICENSE, LICENSE.APACHE
        return LICENCES if _LICENCE_NAME.match(name) and is_text else None
    return kind


def description_of(metadata: str) -> str:
    """The body of a METADATA file: what follows the first empty line."""
    return metadata.replace("\r\n", "\n").partition("\n\n")[2]


def unwanted_reason(kind: str, path: str, text: str) -> str | None:
    """Why a file of this kind is no document, or None if it is one."""
    if kind == JAVASCRIPT and is_minified(path, text):
        return "minified"
    if kind == PROSE and not is_prose(text):
        return "not-prose"
    return None


def is_minified(path: str, text: str) -> bool:
    """Whether JavaScript was packed for browsers, judged by its name and its lines' lengths."""
    if ".min." in posixpath.basename(path):
        return True
    lengths = [len(line) for line in text.splitlines()] or [0]
    return max(lengths) > MAXIMUM_LINE or sum(lengths) > MAXIMUM_MEAN_LINE * len(lengths)


def is_prose(text: str) -> bool:
    """Whether `text` is running text, judged by letters, words a line and ends of sentences."""
    words = text.split()
    lines = sum(not line.isspace() for line in text.splitlines() if line)
    characters = sum(map(len, words))
    if not words or sum(map(str.isalpha, text)) < MINIMUM_LETTER_SHARE * characters:
        return False
    sentences = sum(1 for _ in _SENTENCE_END.finditer(text))
    return len(
        words
    ) >= MINIMUM_WORDS_PER_LINE * lines and sentences >= MINIMUM_SENTENCES_PER_WORD * len(words)


def parts_of(text: str) -> Iterator[str]:
    """`text` cut at line ends into pieces of at most `MAXIMUM_CHARACTERS`.

    The pieces joined are the text. A single line above the limit is cut inside.
    """
    start = 0
    while len(text) - start > MAXIMUM_CHARACTERS:
        newline = text.rfind("\n", start, start + MAXIMUM_CHARACTERS)
        end = start + MAXIMUM_CHARACTERS if newline < start else newline + 1
        yield text[start:end]
        start = end
    yield text[start:]
