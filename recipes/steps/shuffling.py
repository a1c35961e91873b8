"""Controls that destroy a known part of the text: the order of letters, or the order of words.

Each document has a random stream of its own, derived from the seed and its id.
"""

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curricle.core.seeds import generator
from curricle.recipes.codepoints import CodePoints, is_letter, runs, to_code_points, to_text
from curricle.recipes.document_file import Batch
from curricle.recipes.dropped import DropLog
from curricle.recipes.pieces import cut

Shuffle = Callable[[str, np.random.Generator], str]

_WHITE_SPACE = re.compile(r"(\s+)")


def shuffle_letters(seed: int, share: float, batch: Batch, log: DropLog) -> pa.Table:
    """The documents, a share of them with the letters of every word permuted."""
    del log
    return _with_texts(batch.table, permute_letters, seed, "shuffle-letters", share)


def shuffle_words(seed: int, share: float, batch: Batch, log: DropLog) -> pa.Table:
    """The documents, a share of them with their words permuted."""
    del log
    return _with_texts(batch.table, permute_words, seed, "shuffle-words", share)


def permute_letters(text: str, random: np.random.Generator) -> str:
    """`text` with the letters of each run of letters in random order; all else stays in its place.

    A permutation that happens to give the same word is turned by one letter, so that every word
    with two distinct letters changes.
    """
    return "".join(_permute_letters(piece, random) for piece in cut(text))


def permute_words(text: str, random: np.random.Generator) -> str:
    """`text` with its words in random order; the white space between them stays, and so do lines.

    Words are what stands between white space: line k has as many words as before, other ones.
    """
    pieces = _WHITE_SPACE.split(text)
    words = pieces[0::2]
    first, last = int(not words[0]), len(words) - int(not words[-1])
    order = random.permutation(max(last - first, 0)) + first
    pieces[2 * first : 2 * last : 2] = [words[index] for index in order]
    return "".join(pieces)


def _permute_letters(text: str, random: np.random.Generator) -> str:
    code_points = to_code_points(text)
    letters = is_letter(code_points)
    starts, ends = runs(letters)
    word = np.repeat(np.arange(len(starts)), ends - starts)
    before = code_points[letters]
    after = before[np.lexsort((random.random(len(before)), word))]
    after = _turn_unchanged(before, after, word)
    result = code_points.copy()
    result[letters] = after
    return to_text(result)


def _turn_unchanged(
    before: CodePoints, after: CodePoints, word: npt.NDArray[np.int64]
) -> CodePoints:
    """`after`, with the words that equal `before` rotated left by one letter."""
    changed = np.bincount(word, weights=before != after) > 0
    position = np.arange(len(word))
    is_last = np.diff(word, append=-1) != 0
    first = np.flatnonzero(np.diff(word, prepend=-1) != 0)
    following = np.where(is_last, first[word], position + 1)
    return np.where(changed[word], after, after[following])


def _with_texts(
    documents: pa.Table, shuffle: Shuffle, seed: int, stream: str, share: float
) -> pa.Table:
    def chosen(identifier: str) -> bool:
        return share == 1.0 or generator(seed, stream, "share", identifier).random() < share

    texts = [
        shuffle(text, generator(seed, stream, identifier)) if chosen(identifier) else text
        for identifier, text in zip(
            documents["id"].to_pylist(), documents["text"].to_pylist(), strict=True
        )
    ]
    column = documents.schema.get_field_index("text")
    return documents.set_column(
        column, documents.schema.field(column), pa.array(texts, pa.string())
    )
