"""What a recipe does to documents, one model a step; filters by rules are in `rules.py`."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from curricle.recipes.specs.base import (
    Fraction,
    Name,
    PositiveInt,
    ProperFraction,
    Spec,
    refuse,
)
from curricle.recipes.specs.measurements import (
    GivenScores,
    Measurement,
    MinHashSignatures,
    Score,
    Statistics,
)
from curricle.recipes.specs.rules import (
    BaseStep,
    ClassifierFilter,
    CompressionRatio,
    Decontaminate,
    FineWeb,
    FleschReadingEase,
    GivenScore,
    GopherQuality,
    GopherRepetition,
    Length,
    Mtld,
    Perplexity,
)
from curricle.recipes.specs.sources import Source

Share = Annotated[float, Field(ge=0, le=1)]


class Best(Spec):
    """The copy with the highest (or lowest) value in a column of the corpus, or of a given table.

    `scores` names the table, as in `GivenScores`; a copy without a number in it counts as worst
    where `missing` is "drop".
    """

    column: str
    order: Literal["highest", "lowest"] = "highest"
    scores: str | None = None
    id_column: str | None = None
    missing: Literal["error", "drop"] = "error"

    @property
    def given(self) -> GivenScores | None:
        """The table's column."""
        if self.scores is None:
            return None
        return GivenScores(**self.model_dump(exclude={"order"}))

    @model_validator(mode="after")
    def _table_settings_need_a_table(self) -> Self:
        if self.scores is None and self.model_fields_set & {"id_column", "missing"}:
            refuse("id_column or missing without scores", "a table that they are of", "name scores")
        return self


Keep = Annotated[
    Annotated[Literal["first", "longest"], Tag("name")] | Annotated[Best, Tag("column")],
    Discriminator(lambda value: "name" if isinstance(value, str) else "column"),
]


class Dedup(BaseStep):
    """Base of the steps that keep one of several documents.

    `scope`: copies in any domain count, or those of the same domain. `keep` says which copy stays;
    "first" is the one with the smallest id, which also decides between equals.
    """

    dimension: ClassVar[str] = "deduplication"
    scope: Literal["all", "domain"] = "all"
    keep: Keep = "first"

    @property
    def score_files(self) -> tuple[str, ...]:
        """The table that says which copy is best."""
        return (self.keep.scores,) if isinstance(self.keep, Best) and self.keep.scores else ()

    @property
    def identity(self) -> dict[str, Any]:
        """The settings; of a table its content decides."""
        return self.model_dump(mode="json", exclude={"keep": {"scores"}})


class ExactDedup(Dedup):
    """Keep one of the documents whose normalised text is the same."""

    step: Literal["exact-dedup"]


class MinHashDedup(Dedup):
    """Keep one document of each cluster of near-duplicates (MinHash-LSH over word n-grams).

    Candidate pairs come from `bands` bands of `rows` hashes. Without these two they follow from
    `threshold`: at most `permutations` hashes, of which a pair at the threshold is found with
    probability 0.95 if candidates are verified, and 0.5 if they aren't. With `verify` a pair counts
    when the exact Jaccard similarity of its n-gram sets is at least `threshold`; without, when it
    is a candidate. Strengths of one method that share `ngram` and the number of hashes share the
    signatures.
    """

    step: Literal["minhash-dedup"]
    ngram: PositiveInt = 5
    threshold: Fraction = 0.7
    bands: PositiveInt | None = None
    rows: PositiveInt | None = None
    permutations: Annotated[int, Field(ge=1, le=4096)] = 112
    verify: bool = True

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.bands is None) != (self.rows is None):
            refuse("one of bands and rows", "both or neither", "give both, or threshold alone")
        if (self.bands or 0) * (self.rows or 0) > self.permutations:
            refuse(
                f"{self.bands} bands of {self.rows} rows",
                f"at most permutations = {self.permutations} hashes",
                "raise permutations, or give fewer bands or rows",
            )
        return self

    @property
    def measurement(self) -> Measurement:
        """The signatures."""
        return MinHashSignatures(ngram=self.ngram, permutations=self.permutations)


class PartDedup(BaseStep):
    """Remove lines (or paragraphs) that stand in an earlier document.

    Parts are compared with white space and case made equal; those of fewer than
    `minimum_characters` are never removed. A document that keeps less than
    `minimum_kept_share` of its characters is dropped.
    """

    dimension: ClassVar[str] = "deduplication"
    step: Literal["line-dedup", "paragraph-dedup"]
    scope: Literal["all", "domain"] = "all"
    minimum_characters: PositiveInt = 20
    minimum_kept_share: Share = 0.1


class C4(BaseStep):
    """The rules of C4 (Raffel et al. 2020): lines are removed, and documents dropped.

    Lines stay that end with a terminal mark, have `minimum_words_per_line` words, none longer than
    `maximum_word_length`, and mention neither JavaScript nor cookie policies; citation marks like
    [1] are removed. Documents need `minimum_sentences` in what is left, and must contain neither
    "lorem ipsum" nor a curly bracket there.
    """

    step: Literal["c4"]
    minimum_sentences: Annotated[int, Field(ge=0)] = 5
    minimum_words_per_line: Annotated[int, Field(ge=0)] = 3
    maximum_word_length: PositiveInt = 1000


class Bucket(BaseStep):
    """Keep the documents between two quantiles of a score, ranked in all or per domain.

    `by` is a statistic, a classifier trained for it, or a table's column. Equal scores are ranked
    by id, so that buckets have the size they are asked for.
    """

    step: Literal["bucket"]
    by: Score
    lower: Share = 0.0
    upper: Share = 1.0
    scope: Literal["all", "domain"] = "domain"

    @model_validator(mode="after")
    def _lower_is_below_upper(self) -> Self:
        if self.lower >= self.upper:
            refuse(f"lower {self.lower}, upper {self.upper}", "lower < upper", "exchange the two")
        return self

    @property
    def measurement(self) -> Measurement:
        """The score."""
        return Statistics(names=(self.by,)) if isinstance(self.by, str) else self.by

    @property
    def identity(self) -> dict[str, Any]:
        """The settings; what `by` names is the measurement's."""
        return self.model_dump(mode="json", exclude={"by"})


class Select(BaseStep):
    """Keep the documents of some domains, or of some sources: which corpus to train on.

    `source_patterns` are patterns as in a shell; `*` stands for any characters, slashes included.
    """

    dimension: ClassVar[str] = "corpora"
    step: Literal["select"]
    domains: tuple[Name, ...] = ()
    source_patterns: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _selects(self) -> Self:
        if not self.domains and not self.source_patterns:
            refuse("select without domains or source_patterns", "one of them, or both", "name some")
        return self


class ShuffleLetters(BaseStep):
    """Bad control: the letters inside each word in random order, in a `share` of the documents.

    Shares are nested: a document that is shuffled at one share is so at every larger one.
    """

    dimension: ClassVar[str] = "control"
    step: Literal["shuffle-letters"]
    share: Fraction = 1.0


class ShuffleWords(BaseStep):
    """Subtle control: the words of each document in random order; unigrams stay the same.

    `share` as for letters.
    """

    dimension: ClassVar[str] = "control"
    step: Literal["shuffle-words"]
    share: Fraction = 1.0


class DuplicateDocuments(BaseStep):
    """Bad control, and the start of deduplication recipes: add copies and near-copies.

    Copies make up about `share` of the result. Of a part `near` of them some words are replaced by
    other words of the same document: in each copy a share of its own, drawn evenly up to `edits`.
    """

    dimension: ClassVar[str] = "deduplication"
    step: Literal["duplicate-documents"]
    share: ProperFraction = 0.3
    near: Share = 0.5
    edits: Fraction = 0.02


class ForeignDomain(BaseStep):
    """Bad control: replace the texts of a `share` of the documents by texts of another source."""

    dimension: ClassVar[str] = "control"
    named: ClassVar[frozenset[str]] = frozenset({"source"})
    step: Literal["foreign-domain"]
    source: Source
    share: Fraction = 1.0

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where the texts come from."""
        return (self.source,)


Step = Annotated[
    ExactDedup
    | MinHashDedup
    | PartDedup
    | GopherQuality
    | GopherRepetition
    | C4
    | FineWeb
    | Length
    | Mtld
    | FleschReadingEase
    | CompressionRatio
    | ClassifierFilter
    | Perplexity
    | GivenScore
    | Bucket
    | Decontaminate
    | Select
    | ShuffleLetters
    | ShuffleWords
    | DuplicateDocuments
    | ForeignDomain,
    Field(discriminator="step"),
]
