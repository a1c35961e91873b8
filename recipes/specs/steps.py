"""What a recipe does to documents, one model a step."""

from typing import Annotated, Literal

from pydantic import Field

from curricle.recipes.specs.base import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Spec


class ExactDedup(Spec):
    """Keep the first of the documents whose normalised text is the same."""

    step: Literal["exact-dedup"]


class MinHashDedup(Spec):
    """Keep one document of each cluster of near-duplicates (MinHash-LSH over word n-grams).

    Candidate pairs come from `bands` bands of `rows` hashes; they count when the Jaccard similarity
    of their n-gram sets is at least `threshold`.
    """

    step: Literal["minhash-dedup"]
    ngram: PositiveInt = 5
    bands: PositiveInt = 14
    rows: PositiveInt = 8
    threshold: Fraction = 0.7


class QualityFilter(Spec):
    """Drop documents by length, mean word length, symbols, repeated lines and lexical diversity.

    The rules follow the Gopher paper (arXiv 2112.11446, table A1) where it has them.
    """

    step: Literal["quality-filter"]
    minimum_words: PositiveInt = 20
    minimum_mean_word_length: PositiveFloat = 2.0
    maximum_mean_word_length: PositiveFloat = 12.0
    maximum_symbol_to_word_ratio: PositiveFloat = 0.3
    maximum_duplicate_line_fraction: Fraction = 0.3
    minimum_distinct_word_fraction: NonNegativeFloat = 0.1


class ShuffleLetters(Spec):
    """Bad control: the letters inside each word in random order."""

    step: Literal["shuffle-letters"]


class ShuffleWords(Spec):
    """Subtle control: the words of each document in random order; unigrams stay the same."""

    step: Literal["shuffle-words"]


Step = Annotated[
    ExactDedup | MinHashDedup | QualityFilter | ShuffleLetters | ShuffleWords,
    Field(discriminator="step"),
]
DIMENSION_OF_STEP = {
    "exact-dedup": "deduplication",
    "minhash-dedup": "deduplication",
    "quality-filter": "filtering",
    "shuffle-letters": "control",
    "shuffle-words": "control",
}
