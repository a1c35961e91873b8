"""A recipe, and the tokenizer that all recipes of a study share."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from curricle.core.scores_file import column_of
from curricle.recipes.specs.base import Spec, refuse
from curricle.recipes.specs.measurements import GivenScores
from curricle.recipes.specs.mix import Mix
from curricle.recipes.specs.steps import Step
from curricle.recipes.text_statistics import STATISTICS

UNIGRAM_ENTROPY = "unigram-entropy"

Direction = Literal["ascending", "descending", "v-shaped", "interleaved"]


class TokenizerSpec(Spec):
    """The one tokenizer of all recipes, and the length of the windows.

    `byte-level-bpe` is trained on the base corpus and has up to `vocabulary_size` tokens; `gpt2` is
    GPT-2's; `spectrum` is the closed vocabulary of the source of that name; `hugging-face` is the
    one at `path`: a `tokenizer.json`, a folder with one (or with `vocab.json` and `merges.txt`), or
    a name on the hub whose files are in the local cache.
    """

    algorithm: Literal["byte-level-bpe", "gpt2", "spectrum", "hugging-face"] = "byte-level-bpe"
    path: str | None = None
    vocabulary_size: Annotated[int, Field(ge=257)] = 4096
    sequence_length: Annotated[int, Field(ge=2)] = 128

    @model_validator(mode="after")
    def _settings_fit(self) -> Self:
        if (self.path is not None) != (self.algorithm == "hugging-face"):
            refuse(
                f"algorithm {self.algorithm} {'with' if self.path else 'without'} a path",
                "a path with algorithm hugging-face, and none with others",
                "add or remove path",
            )
        if self.is_given and "vocabulary_size" in self.model_fields_set:
            refuse(
                f"vocabulary_size with algorithm {self.algorithm}",
                "a size only for a tokenizer to be trained",
                "leave vocabulary_size out: the tokenizer brings its own",
            )
        return self

    @property
    def is_given(self) -> bool:
        """Whether the tokenizer is there already, rather than trained."""
        return self.algorithm != "byte-level-bpe"


class OrderSpec(Spec):
    """The same samples as a random order, arranged by a score of each sample.

    `by` is `unigram-entropy` (of the sample's tokens), a statistic of the documents it was cut from
    (its mean over the sample's tokens), a column of a table with a number for each document, or
    with `scores`, the address of a scores artifact of the same dataset, one of its columns.
    `v-shaped` falls to the lowest score and rises again; `interleaved` rises `folds` times, through
    every `folds`-th sample each.
    """

    by: str | GivenScores
    scores: str | None = None
    direction: Direction = "ascending"
    folds: Annotated[int, Field(ge=2)] = 3

    @model_validator(mode="after")
    def _score_is_known(self) -> Self:
        known = (UNIGRAM_ENTROPY, *STATISTICS)
        if isinstance(self.by, GivenScores):
            self._check_table(self.by)
        elif self.scores is None and self.by not in known:
            refuse(
                f"order by {self.by!r}",
                f"one of {', '.join(known)}",
                "choose one of these, or name the scores artifact that has the column",
            )
        if "folds" in self.model_fields_set and self.direction != "interleaved":
            refuse(f"folds with {self.direction}", "folds with interleaved alone", "remove folds")
        return self

    def _check_table(self, table: GivenScores) -> None:
        if self.scores is not None:
            refuse(
                "order by a table, and scores beside it",
                "one of the two",
                "remove scores: the table stands in by",
            )
        if table.missing == "drop":
            refuse(
                "an order by a table with missing: drop",
                "a number for every document: an order leaves none out",
                "filter the documents first, or remove missing",
            )

    @property
    def score(self) -> str:
        """The score's name."""
        return self.by.column if isinstance(self.by, GivenScores) else self.by

    @property
    def column(self) -> str:
        """The column of the scores."""
        return self.score if self.scores else column_of(self.score)


class Recipe(Spec):
    """What is done to the base corpus: steps in turn, then a mix of domains, then an order.

    Recipes are told apart by what they do; recipes with the same steps share their results.
    """

    role: Literal["candidate", "bad-control", "subtle-control"] = "candidate"
    steps: tuple[Step, ...] = ()
    mix: Mix | None = None
    order: OrderSpec | None = None

    @model_validator(mode="after")
    def _copies_once(self) -> Self:
        if sum(step.step == "duplicate-documents" for step in self.steps) > 1:
            refuse(
                "duplicate-documents twice",
                "at most one such step, as copies are named after their originals",
                "raise its share instead",
            )
        return self

    @property
    def dataset_spec(self) -> dict[str, Any]:
        """What decides the recipe's dataset; recipes that differ only in order share it."""
        return self.model_dump(mode="json", include={"steps", "mix"})

    @property
    def dimension(self) -> str:
        """The curation dimension this recipe varies, for grouping.

        Nothing at all is the mix of domains as they are, temperature 1: a point of the mixes' axis,
        and of no other, whose recipes all remove or add something.
        """
        dimensions = {step.dimension for step in self.steps}
        dimensions |= {"mixing"} if self.mix else set()
        dimensions |= {"ordering"} if self.order else set()
        return {0: "mixing", 1: next(iter(dimensions), "")}.get(len(dimensions), "combination")
