"""What can be measured of a document, by name; each statistic is a number per document.

Statistics of one family (words, lines, n-grams) are computed together, once per batch of texts.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from curricle.recipes.codepoints import Indices
from curricle.recipes.pieces import batches
from curricle.recipes.text_statistics import lines, readability, repetition
from curricle.recipes.text_statistics.words import Words, words_of

Values = npt.NDArray[np.float64]


class TextBatch:
    """Some texts, and what several statistics need of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    @functools.cached_property
    def words(self) -> Words:
        """Words and their counts."""
        return words_of(self.texts)

    @functools.cached_property
    def characters(self) -> Indices:
        """Length of each text."""
        return np.array([len(text) for text in self.texts], dtype=np.int64)

    @functools.cached_property
    def parts(self) -> Mapping[str, Values]:
        """Gopher's repeated lines and paragraphs."""
        return repetition.duplicated_parts(self.texts)

    @functools.cached_property
    def ngrams(self) -> Mapping[str, Values]:
        """Gopher's repeated n-grams."""
        return repetition.repeated_ngrams(self.words, self.characters)

    @functools.cached_property
    def fineweb(self) -> Mapping[str, Values]:
        """FineWeb's lines."""
        return lines.fineweb_lines(self.texts)

    def per_word(self, *marks: str) -> Values:
        """How often any of `marks` occurs, per word."""
        counts = [sum(text.count(mark) for mark in marks) for text in self.texts]
        return _ratio(np.array(counts, dtype=np.int64), self.words.counts)


Statistic = Callable[[TextBatch], Values]


def _ratio(part: Indices, whole: Indices) -> Values:
    """`part` / `whole`, 0 where there is nothing."""
    return part / np.maximum(whole, 1)


def _from(family: str, name: str) -> Statistic:
    return lambda batch: getattr(batch, family)[name]


STATISTICS: dict[str, Statistic] = {
    "characters": lambda batch: batch.characters.astype(np.float64),
    "words": lambda batch: batch.words.plain.astype(np.float64),
    "mean-word-length": lambda batch: _ratio(batch.words.plain_characters, batch.words.plain),
    "hashes-per-word": lambda batch: batch.per_word("#"),
    "ellipses-per-word": lambda batch: batch.per_word("...", "…"),
    "bullet-line-share": lambda batch: lines.bullet_line_share(batch.texts),
    "ellipsis-line-share": lambda batch: lines.ellipsis_line_share(batch.texts),
    "alphabetic-word-share": lambda batch: _ratio(batch.words.alphabetic, batch.words.counts),
    "stop-words": lambda batch: batch.words.stop_words.astype(np.float64),
    **{
        name: _from("parts", name)
        for name in (
            "duplicate-paragraph-share",
            "duplicate-paragraph-character-share",
            "duplicate-line-share",
            "duplicate-line-character-share",
        )
    },
    **{
        name: _from("ngrams", name)
        for name in (
            *(f"top-{size}-gram-character-share" for size in repetition.TOP_NGRAMS),
            *(f"duplicate-{size}-gram-character-share" for size in repetition.DUPLICATE_NGRAMS),
        )
    },
    **{
        name: _from("fineweb", name)
        for name in ("punctuated-line-share", "short-line-share", "repeated-line-character-share")
    },
    "newlines-per-word": lambda batch: batch.per_word("\n"),
    "mtld": lambda batch: readability.mtld(batch.texts),
    "flesch-reading-ease": lambda batch: readability.flesch_reading_ease(
        batch.texts, batch.words.sentences
    ),
    "compression-ratio": lambda batch: readability.compression_ratio(batch.texts),
}


def measure_texts(texts: Sequence[str], names: Sequence[str]) -> dict[str, Values]:
    """Each named statistic of each text; shape (texts,) each."""
    parts: dict[str, list[Values]] = {name: [np.empty(0, np.float64)] for name in names}
    for batch in map(TextBatch, batches(texts)):
        for name in names:
            parts[name].append(STATISTICS[name](batch))
    return {name: np.concatenate(columns) for name, columns in parts.items()}
