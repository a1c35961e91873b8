"""What a step wants measured of every document before it decides; one model a kind.

A measurement knows no threshold: recipes that differ in thresholds alone share it.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from curricle.recipes.specs.base import PositiveFloat, PositiveInt, Spec, refuse
from curricle.recipes.specs.sources import Source
from curricle.recipes.text_statistics import STATISTICS


def _known(name: str) -> str:
    if name not in STATISTICS:
        refuse(f"statistic {name!r}", f"one of {', '.join(STATISTICS)}", "choose one of these")
    return name


StatisticName = Annotated[str, AfterValidator(_known)]


class MeasurementSpec(Spec):
    """Base of the measurements."""

    named: ClassVar[frozenset[str]] = frozenset()

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that decide what is measured; of named texts the content does."""
        return self.model_dump(mode="json", exclude=set(self.named))

    @property
    def sources(self) -> tuple[Source, ...]:
        """Texts that it names beside the corpus."""
        return ()

    @property
    def question_files(self) -> tuple[str, ...]:
        """Multiple-choice sets that it names."""
        return ()

    @property
    def score_files(self) -> tuple[str, ...]:
        """Tables of scores that it names."""
        return ()


class Statistics(MeasurementSpec):
    """Statistics of the text, by name."""

    measure: Literal["statistics"] = "statistics"
    names: tuple[StatisticName, ...]


class MinHashSignatures(MeasurementSpec):
    """MinHash signatures of `ngram`-word shingles."""

    measure: Literal["signatures"] = "signatures"
    ngram: PositiveInt
    permutations: PositiveInt


class QualityClassifier(MeasurementSpec):
    """Probability of belonging to the `good` texts rather than the `bad` ones.

    A logistic regression over hashed word n-grams (1 to `ngram`), trained on both sets, each class
    with the same weight. `regularization` is the inverse of scikit-learn's C.
    """

    named: ClassVar[frozenset[str]] = frozenset({"good", "bad"})
    measure: Literal["classifier"] = "classifier"
    good: tuple[Source, ...] = Field(min_length=1)
    bad: tuple[Source, ...] = Field(min_length=1)
    ngram: Annotated[int, Field(ge=1, le=5)] = 2
    features: Annotated[int, Field(ge=256, le=2**26)] = 2**18
    regularization: PositiveFloat = 1.0

    @property
    def sources(self) -> tuple[Source, ...]:
        """What it is trained on."""
        return (*self.good, *self.bad)


class SharedNgrams(MeasurementSpec):
    """Distinct n-grams of words that a document shares with the texts of evaluation sets.

    `questions` is a multiple-choice set in MMLU's layout, `against` are texts. Texts with fewer
    than `ngram` words can't be recognised and don't count.
    """

    named: ClassVar[frozenset[str]] = frozenset({"questions", "against"})
    measure: Literal["shared-ngrams"] = "shared-ngrams"
    questions: str | None = None
    against: tuple[Source, ...] = ()
    ngram: PositiveInt = 13

    @property
    def sources(self) -> tuple[Source, ...]:
        """The evaluation sets' texts."""
        return self.against

    @property
    def question_files(self) -> tuple[str, ...]:
        """The evaluation sets' questions."""
        return (self.questions,) if self.questions else ()


class GivenScores(MeasurementSpec):
    """A number for each document out of a table that has one: a model's score, anybody's signal.

    `scores` is a Parquet or JSON Lines file, a folder of them or a glob; rows are matched by
    document id, in `id_column` (default: `id`, or `document`, which `curricle evaluate` writes).
    Documents without a number are an error, or dropped by the step that reads the scores. Of the
    rows of `curricle evaluate perplexity`, `perplexity` and `bits_per_byte` are columns too.
    """

    named: ClassVar[frozenset[str]] = frozenset({"scores"})
    measure: Literal["given-scores"] = "given-scores"
    scores: str
    column: str
    id_column: str | None = None
    missing: Literal["error", "drop"] = "error"

    @property
    def score_files(self) -> tuple[str, ...]:
        """The table."""
        return (self.scores,)


def _form(value: Any) -> str:
    if isinstance(value, Mapping):
        return "given" if "scores" in value else "classifier"
    if isinstance(value, MeasurementSpec):
        return "given" if isinstance(value, GivenScores) else "classifier"
    return "statistic"


# What documents can be ranked by: a statistic, a classifier trained for it, or given scores.
Score = Annotated[
    Annotated[StatisticName, Tag("statistic")]
    | Annotated[QualityClassifier, Tag("classifier")]
    | Annotated[GivenScores, Tag("given")],
    Discriminator(_form),
]

Measurement = Annotated[
    Statistics | MinHashSignatures | QualityClassifier | SharedNgrams | GivenScores,
    Field(discriminator="measure"),
]
