"""Statistics of the words of texts (see `recipes/words.py` for what a word is)."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curricle.recipes.character_flags import (
    LETTER,
    NOT_PUNCTUATION,
    NOT_SYMBOL,
    TERMINAL,
    flags_of,
)
from curricle.recipes.codepoints import Indices, to_code_points
from curricle.recipes.hashing import Hashes, span_hashes
from curricle.recipes.pieces import Portion, portions
from curricle.recipes.words import word_spans

# The words of which Gopher wants two in a document.
STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")


@dataclass(frozen=True)
class Words:
    """The words of some texts, one text after the other.

    `hashes` and `lengths` (in characters) have the shape (words,), all others (texts,): words in
    all, those that aren't mere symbols and the characters of these, words with a letter, distinct
    stop words, sentences.
    """

    hashes: Hashes
    lengths: Indices
    counts: Indices
    plain: Indices
    plain_characters: Indices
    alphabetic: Indices
    stop_words: Indices
    sentences: Indices


def words_of(texts: Sequence[str]) -> Words:
    """Cut texts into words and count."""
    hashes, lengths = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    counts, plain, plain_characters, alphabetic, ends = np.zeros((5, len(texts)), dtype=np.int64)
    stop_words = np.zeros((len(STOP_WORDS), len(texts)), dtype=np.bool_)
    for portion in portions(texts):
        starts, stops = word_spans(portion.code_points)
        owners = portion.texts_of(starts)
        hashes.append(span_hashes(portion.code_points, starts, stops))
        lengths.append(stops - starts)
        kinds = _kinds(portion, starts)
        is_plain = (kinds & NOT_SYMBOL) != 0
        counts += np.bincount(owners, minlength=len(texts))
        plain += np.bincount(owners[is_plain], minlength=len(texts))
        np.add.at(plain_characters, owners[is_plain], lengths[-1][is_plain])
        alphabetic += np.bincount(owners[(kinds & LETTER) != 0], minlength=len(texts))
        for row, stop_word in enumerate(_stop_word_hashes()):
            stop_words[row, owners[hashes[-1] == stop_word]] = True
        ends += _sentence_ends(kinds, stops - starts, owners, len(texts))
    return Words(
        hashes=np.concatenate(hashes),
        lengths=np.concatenate(lengths),
        counts=counts,
        plain=plain,
        plain_characters=plain_characters,
        alphabetic=alphabetic,
        stop_words=stop_words.sum(axis=0),
        sentences=np.where(counts > 0, ends + 1, 0),
    )


def count_sentences(texts: Sequence[str]) -> Indices:
    """Sentences of each text; shape (texts,). 0 for a text without words."""
    return words_of(texts).sentences


def _kinds(portion: Portion, starts: Indices) -> npt.NDArray[np.uint16]:
    """The flags of all characters of each word; white space has none that matter."""
    flags = flags_of(portion.code_points)
    return np.bitwise_or.reduceat(flags, starts) if len(starts) else np.empty(0, np.uint16)


def _sentence_ends(
    kinds: npt.NDArray[np.uint16], lengths: Indices, owners: Indices, texts: int
) -> Indices:
    """Sentences of each text that another one follows, as spaCy's sentencizer has them.

    A sentence begins with the first word that isn't punctuation after a terminal mark.
    """
    terminal = (lengths == 1) & ((kinds & TERMINAL) != 0)
    marks = np.concatenate([np.zeros(1, np.int64), np.cumsum(terminal)])
    proper = np.flatnonzero((kinds & NOT_PUNCTUATION) != 0)
    of_text = owners[proper]
    # Where the search for a mark begins: at the proper word before, or at the text's first word.
    since = np.concatenate([np.zeros(1, np.int64), proper])[: len(proper)]
    is_first = np.diff(of_text, prepend=-1) != 0
    since[is_first] = np.searchsorted(owners, of_text[is_first])
    return np.bincount(of_text[marks[proper] > marks[since]], minlength=texts)


@functools.cache
def _stop_word_hashes() -> list[int]:
    ends = np.cumsum([len(word) + 1 for word in STOP_WORDS]) - 1
    starts = ends - [len(word) for word in STOP_WORDS]
    return [int(one) for one in span_hashes(to_code_points(" ".join(STOP_WORDS)), starts, ends)]
