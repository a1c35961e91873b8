"""Filters that keep what lies within limits; their settings are their rules.

A setting `minimum_x` or `maximum_x` limits the statistic `x`; null switches the rule off. The
reason for a drop has the setting's name. A document is dropped for the first rule it breaks.
"""

from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from curricle.recipes.specs.base import Spec, refuse
from curricle.recipes.specs.measurements import (
    GivenScores,
    Measurement,
    QualityClassifier,
    SharedNgrams,
    Statistics,
)
from curricle.recipes.specs.sources import Source

Limit = Annotated[float, Field(allow_inf_nan=False)] | None


class Rule(NamedTuple):
    """Drop for `reason` where `statistic` is beyond `limit`: below a minimum, above a maximum."""

    reason: str
    statistic: str
    limit: float
    is_minimum: bool


class BaseStep(Spec):
    """Base of the steps. `dimension` is the curation dimension that a step belongs to."""

    dimension: ClassVar[str] = "filtering"
    # Settings that name texts or scores: their content decides, not their place.
    named: ClassVar[frozenset[str]] = frozenset()

    @property
    def measurement(self) -> Measurement | None:
        """What the step wants measured of the documents before it decides."""
        return None

    @property
    def sources(self) -> tuple[Source, ...]:
        """Texts that the step itself names; a measurement's are its own."""
        return ()

    @property
    def score_files(self) -> tuple[str, ...]:
        """Tables of scores that the step itself names."""
        return ()

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that decide what the step does."""
        return self.model_dump(mode="json", exclude=set(self.named))


class RuleFilter(BaseStep):
    """Base of the filters by rules."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that are on, in the order in which they are tried."""
        rules = []
        for setting in type(self).model_fields:
            kind, _, statistic = setting.partition("_")
            limit = getattr(self, setting)
            if kind in ("minimum", "maximum") and limit is not None:
                name = statistic.replace("_", "-")
                rules.append(Rule(f"{kind}-{name}", name, limit, kind == "minimum"))
        return tuple(rules)

    @property
    def measurement(self) -> Measurement:
        """The statistics that the rules limit."""
        return Statistics(names=tuple(dict.fromkeys(rule.statistic for rule in self.rules)))

    @model_validator(mode="after")
    def _has_a_rule(self) -> Self:
        if not self.rules:
            refuse("a filter without limits", "at least one minimum or maximum", "give one")
        return self


class GopherQuality(RuleFilter):
    """Gopher's quality rules (arXiv 2112.11446, section A.1.1).

    Words are spaCy's; words of symbols alone count neither for number nor for length.
    """

    step: Literal["gopher-quality"]
    minimum_words: Limit = 50.0
    maximum_words: Limit = 100_000.0
    minimum_mean_word_length: Limit = 3.0
    maximum_mean_word_length: Limit = 10.0
    maximum_hashes_per_word: Limit = 0.1
    maximum_ellipses_per_word: Limit = 0.1
    maximum_bullet_line_share: Limit = 0.9
    maximum_ellipsis_line_share: Limit = 0.3
    minimum_alphabetic_word_share: Limit = 0.8
    minimum_stop_words: Limit = 2.0


class GopherRepetition(RuleFilter):
    """Gopher's repetition rules (arXiv 2112.11446, table A1)."""

    step: Literal["gopher-repetition"]
    maximum_duplicate_paragraph_share: Limit = 0.3
    maximum_duplicate_paragraph_character_share: Limit = 0.2
    maximum_duplicate_line_share: Limit = 0.3
    maximum_duplicate_line_character_share: Limit = 0.2
    maximum_top_2_gram_character_share: Limit = 0.2
    maximum_top_3_gram_character_share: Limit = 0.18
    maximum_top_4_gram_character_share: Limit = 0.16
    maximum_duplicate_5_gram_character_share: Limit = 0.15
    maximum_duplicate_6_gram_character_share: Limit = 0.14
    maximum_duplicate_7_gram_character_share: Limit = 0.13
    maximum_duplicate_8_gram_character_share: Limit = 0.12
    maximum_duplicate_9_gram_character_share: Limit = 0.11
    maximum_duplicate_10_gram_character_share: Limit = 0.1


class FineWeb(RuleFilter):
    """The rules that FineWeb added to the published ones (arXiv 2406.17557, section 3.6)."""

    step: Literal["fineweb"]
    minimum_punctuated_line_share: Limit = 0.12
    maximum_short_line_share: Limit = 0.67
    maximum_repeated_line_character_share: Limit = 0.01
    maximum_newlines_per_word: Limit = 0.3


class Length(RuleFilter):
    """Limits to the number of words (in Gopher's sense) or characters."""

    step: Literal["length"]
    minimum_words: Limit = None
    maximum_words: Limit = None
    minimum_characters: Limit = None
    maximum_characters: Limit = None


class Mtld(RuleFilter):
    """Limits to lexical diversity (MTLD, McCarthy & Jarvis 2010); English prose has 70 to 120."""

    step: Literal["mtld"]
    minimum_mtld: Limit = None
    maximum_mtld: Limit = None


class FleschReadingEase(RuleFilter):
    """Limits to the reading ease (Flesch 1948): 90 is easy, 30 difficult."""

    step: Literal["flesch-reading-ease"]
    minimum_flesch_reading_ease: Limit = None
    maximum_flesch_reading_ease: Limit = None


class CompressionRatio(RuleFilter):
    """Limits to bytes over compressed bytes (zlib, level 6); English prose has 2 to 3."""

    step: Literal["compression-ratio"]
    minimum_compression_ratio: Limit = None
    maximum_compression_ratio: Limit = None


class ClassifierFilter(RuleFilter):
    """Keep documents that a classifier, trained on named good and bad texts, takes for good."""

    named: ClassVar[frozenset[str]] = frozenset({"classifier"})
    step: Literal["quality-classifier"]
    classifier: QualityClassifier
    minimum_good: Limit = Field(default=0.5, ge=0, le=1)

    @property
    def measurement(self) -> Measurement:
        """The classifier's probabilities."""
        return self.classifier


class GivenScore(RuleFilter):
    """Limits to a number that a table brings for each document."""

    named: ClassVar[frozenset[str]] = frozenset({"by"})
    step: Literal["score"]
    by: GivenScores
    minimum_score: Limit = None
    maximum_score: Limit = None

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The limits, on the table's column."""
        return tuple(rule._replace(statistic=self.by.column) for rule in super().rules)

    @property
    def measurement(self) -> Measurement:
        """The table's column."""
        return self.by


class Perplexity(RuleFilter):
    """Limits to the perplexity under a language model, as `curricle evaluate perplexity` found it.

    `scores` are the rows it wrote, or any table with a column `perplexity`; see `GivenScores`.
    """

    named: ClassVar[frozenset[str]] = frozenset({"scores", "id_column", "missing"})
    step: Literal["perplexity"]
    scores: str
    id_column: str | None = None
    missing: Literal["error", "drop"] = "error"
    minimum_perplexity: Limit = None
    maximum_perplexity: Limit = None

    @property
    def measurement(self) -> Measurement:
        """The table's perplexities."""
        return GivenScores(
            scores=self.scores,
            column="perplexity",
            id_column=self.id_column,
            missing=self.missing,
        )


class Decontaminate(RuleFilter):
    """Drop documents that share n-grams of words with evaluation sets (GPT-3 took n = 13).

    `questions` is a multiple-choice set in MMLU's layout, `against` are texts.
    """

    named: ClassVar[frozenset[str]] = frozenset({"questions", "against"})
    step: Literal["decontaminate"]
    questions: str | None = None
    against: tuple[Source, ...] = ()
    ngram: int = Field(default=13, gt=0)
    maximum_shared_ngrams: Limit = Field(default=0.0, ge=0)

    @property
    def measurement(self) -> Measurement:
        """How many n-grams are shared."""
        return SharedNgrams(questions=self.questions, against=self.against, ngram=self.ngram)

    @model_validator(mode="after")
    def _has_texts(self) -> Self:
        if self.questions is None and not self.against:
            refuse("decontaminate without texts", "questions, against, or both", "name some")
        return self
