"""The study: one frozen, complete description of an experiment, as its YAML file says it.

Unknown keys are refused. What changes a result is identity and ends in fingerprints; `store` and
`tracking` say where things are kept and don't.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from curricle.core.jobs import ModelSpec, OptimizerSpec

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=64)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, le=1)]
ProperFraction = Annotated[float, Field(gt=0, lt=1)]

MINIMUM_SEEDS = 3


class Spec(BaseModel):
    """Base of every part of a study: frozen, strict about keys, numbers never read from strings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PythonEnvironmentSource(Spec):
    """The installed Python packages as a corpus of six domains; offline, and on every machine.

    `megabytes_per_domain` caps each domain; `packages` limits the scan to these distributions.
    """

    source: Literal["python-environment"]
    megabytes_per_domain: PositiveFloat = 1.0
    packages: tuple[str, ...] | None = None


class FilesSource(Spec):
    """Documents from local files: Parquet, JSON Lines (`.jsonl`, also `.gz`), or plain text.

    `path` is a file, a folder or a glob, relative to the working directory. The domain is `domain`,
    or is read from `domain_column`.
    """

    source: Literal["files"]
    path: str
    text_column: str = "text"
    id_column: str | None = None
    source_column: str | None = None
    domain: Name | None = None
    domain_column: str | None = None

    @model_validator(mode="after")
    def _one_domain(self) -> Self:
        if (self.domain is None) == (self.domain_column is None):
            _refuse(
                "domain and domain_column both or neither given",
                "exactly one of them",
                "name the domain, or the column that holds it",
            )
        if self.domain == "average":
            _refuse("domain 'average'", "another name: results use it for the mean", "rename it")
        return self


Source = Annotated[PythonEnvironmentSource | FilesSource, Field(discriminator="source")]


class TokenizerSpec(Spec):
    """Byte-level BPE trained on the base corpus, one for all recipes, and the window length."""

    algorithm: Literal["byte-level-bpe"] = "byte-level-bpe"
    vocabulary_size: Annotated[int, Field(ge=257)] = 4096
    sequence_length: Annotated[int, Field(ge=2)] = 128


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
_DIMENSION_OF_STEP = {
    "exact-dedup": "deduplication",
    "minhash-dedup": "deduplication",
    "quality-filter": "filtering",
    "shuffle-letters": "control",
    "shuffle-words": "control",
}


class OrderSpec(Spec):
    """The same samples as a random order, read sorted by a score of each sample."""

    by: Literal["unigram-entropy"]
    direction: Literal["ascending", "descending"] = "ascending"


class Recipe(Spec):
    """What is done to the base corpus: steps in turn, then a mix of domains, then an order.

    `mix` gives each domain's share of the tokens (normalised; domains left out are dropped). The
    dataset becomes as large as the scarcest domain allows without repeating a document.
    """

    role: Literal["candidate", "bad-control", "subtle-control"] = "candidate"
    steps: tuple[Step, ...] = ()
    mix: Mapping[Name, PositiveFloat] | None = None
    order: OrderSpec | None = None

    @property
    def dataset_spec(self) -> dict[str, Any]:
        """What decides the recipe's dataset; recipes that differ only in order share it."""
        return self.model_dump(mode="json", include={"steps", "mix"})

    @property
    def dimension(self) -> str:
        """The curation dimension this recipe varies, for grouping."""
        dimensions = {_DIMENSION_OF_STEP[step.step] for step in self.steps}
        dimensions |= {"mixing"} if self.mix else set()
        dimensions |= {"ordering"} if self.order else set()
        return {0: "none", 1: next(iter(dimensions), "")}.get(len(dimensions), "combination")


class Training(Spec):
    """Model size and optimizer settings that proxies and targets have in common."""

    family: Literal["gpt2"] = "gpt2"
    num_layers: PositiveInt
    width: PositiveInt
    num_heads: PositiveInt
    tokens: PositiveInt
    batch_size: PositiveInt = 8
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    final_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    weight_decay: NonNegativeFloat = 0.1
    gradient_clip: PositiveFloat = 1.0
    seeds: Annotated[int, Field(ge=MINIMUM_SEEDS)] = MINIMUM_SEEDS
    threads: PositiveInt = 1

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.num_heads:
            _refuse(
                f"width {self.width} with num_heads {self.num_heads}",
                "a width that is a multiple of num_heads",
                "change one of them",
            )
        return self

    def model_spec(self, tokenizer: TokenizerSpec) -> ModelSpec:
        """The model's shape under the study's tokenizer."""
        return ModelSpec(
            family=self.family,
            num_layers=self.num_layers,
            width=self.width,
            num_heads=self.num_heads,
            vocabulary_size=tokenizer.vocabulary_size,
            sequence_length=tokenizer.sequence_length,
        )

    def optimizer_spec(self, learning_rate: float) -> OptimizerSpec:
        """The optimizer at one peak rate."""
        return OptimizerSpec(
            learning_rate=learning_rate,
            schedule=self.schedule,
            warmup_fraction=self.warmup_fraction,
            final_fraction=self.final_fraction,
            weight_decay=self.weight_decay,
            gradient_clip=self.gradient_clip,
        )


class Proxy(Training):
    """The small models that rank the recipes.

    Each recipe is trained at each of `learning_rates`. The smallest is the tiny rate, whose ranking
    counts; the largest is the standard rate it is compared with.
    """

    learning_rates: tuple[PositiveFloat, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rates_differ(self) -> Self:
        if len(set(self.learning_rates)) < len(self.learning_rates):
            _refuse(
                f"learning_rates {list(self.learning_rates)}",
                "each rate once",
                "remove the repeated one",
            )
        return self

    @property
    def tiny_rate(self) -> float:
        """The rate whose ranking counts."""
        return min(self.learning_rates)

    @property
    def standard_rate(self) -> float:
        """The rate usual practice would take; also judges recipes that differ only in order."""
        return max(self.learning_rates)


class Target(Training):
    """The larger model; `confirm` recipes (best, middle, bad control) are trained at its size."""

    learning_rate: PositiveFloat
    confirm: Annotated[int, Field(ge=2)] = 3


class Scoring(Spec):
    """How learnability is measured: a proxy per seed, trained on samples that no target reads.

    `holdout` is the share of the samples set aside for the proxy; `early` the share of its run
    after which the early checkpoint is taken, `late` those whose mean loss counts as late.
    """

    tokens: PositiveInt
    learning_rate: PositiveFloat
    holdout: ProperFraction = 0.3
    early: ProperFraction = 0.2
    late: tuple[Fraction, ...] = (0.8, 0.9, 1.0)

    @model_validator(mode="after")
    def _early_before_late(self) -> Self:
        if self.early >= min(self.late, default=0):
            _refuse(
                f"early {self.early} with late {list(self.late)}",
                "an early checkpoint before all late ones",
                "lower early, or give later late checkpoints",
            )
        return self


class Curriculum(Spec):
    """A growing pool over ranked samples (Fan & Jaggi, arXiv 2310.15389).

    At progress p batches are drawn from the top `start_fraction + (1 - start_fraction) * p /
    full_at` of the samples, ranked by `score` inside each domain (`within: domain`) or over all.
    """

    score: Literal["learnability"] = "learnability"
    pacing: Literal["growing-pool"] = "growing-pool"
    start_fraction: Fraction = 0.25
    full_at: Fraction = 0.5
    within: Literal["domain", "all"] = "domain"


class MultipleChoice(Spec):
    """The set built from docstrings of held-out files, and how it is asked."""

    shots: Annotated[int, Field(ge=0, le=5)] = 5
    questions: PositiveInt = 200


class Sharpness(Spec):
    """Largest Hessian eigenvalue on a fixed held-out batch of `batch_size` samples."""

    batch_size: PositiveInt = 8
    max_iterations: PositiveInt = 20
    tolerance: PositiveFloat = 0.01


class Evaluation(Spec):
    """Held-out data and what is measured on it.

    `validation_fraction` of the documents is set aside by hash before any recipe runs. Proxies are
    judged on `tokens_per_domain` of each domain, as are targets. `mmlu` names a folder, `.tar.gz`
    or Parquet file with the real MMLU, asked instead of the docstring questions.
    """

    validation_fraction: ProperFraction = 0.1
    tokens_per_domain: PositiveInt
    multiple_choice: MultipleChoice | None = MultipleChoice()
    mmlu: str | None = None
    sharpness: Sharpness | None = Sharpness()

    @model_validator(mode="after")
    def _mmlu_is_asked(self) -> Self:
        if self.mmlu is not None and self.multiple_choice is None:
            _refuse(
                "mmlu given while multiple_choice is null",
                "settings for how to ask it",
                "remove mmlu, or give multiple_choice: {shots: 5}",
            )
        return self


class Tracking(Spec):
    """MLflow's tracking address; by default a SQLite file beside the artifacts."""

    mlflow: str | None = None

    @model_validator(mode="after")
    def _no_credentials(self) -> Self:
        if self.mlflow is not None and "@" in self.mlflow.split("://")[-1].split("/")[0]:
            _refuse(
                "mlflow: an address with a user name in it",
                "an address alone",
                "put MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD into the environment",
            )
        return self


class Study(Spec):
    """A whole study. The first recipe is the baseline that verdicts compare with."""

    name: Name
    store: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    corpora: Mapping[Name, Source] = Field(min_length=1)
    tokenizer: TokenizerSpec = TokenizerSpec()
    recipes: Mapping[Name, Recipe] = Field(min_length=2)
    proxy: Proxy
    target: Target
    scoring: Scoring
    curricula: Mapping[Name, Curriculum] = Field(default_factory=dict)
    evaluation: Evaluation
    tracking: Tracking = Tracking()

    @model_validator(mode="after")
    def _batch_fits(self) -> Self:
        for label, training in (("proxy", self.proxy), ("target", self.target)):
            smallest = training.batch_size * self.tokenizer.sequence_length
            if training.tokens < smallest:
                _refuse(
                    f"{label}.tokens {training.tokens}",
                    f"at least one batch of {training.batch_size} x "
                    f"{self.tokenizer.sequence_length} = {smallest} tokens",
                    f"raise {label}.tokens or lower {label}.batch_size",
                )
        return self

    @model_validator(mode="after")
    def _scoring_checkpoints_are_apart(self) -> Self:
        per_step = self.proxy.batch_size * self.tokenizer.sequence_length
        steps = self.scoring.tokens // per_step
        places = [round(share * steps) for share in (self.scoring.early, *self.scoring.late)]
        if 0 in places or len(set(places)) < len(places):
            _refuse(
                f"scoring.tokens {self.scoring.tokens}: {steps} steps of {per_step} tokens",
                "enough steps to keep the early and late checkpoints apart",
                "raise scoring.tokens, or move scoring.early and scoring.late apart",
            )
        return self

    @model_validator(mode="after")
    def _curricula_have_names_of_their_own(self) -> Self:
        taken = {"random"}
        for name in self.curricula:
            labels = {name, f"anti-{name}", f"{name}-reshuffled"}
            if clash := sorted(taken & labels):
                _refuse(
                    f"curriculum {name!r} has an arm called {clash[0]!r} like another one",
                    "arms with names of their own",
                    "rename the curriculum",
                )
            taken |= labels
        return self

    @model_validator(mode="after")
    def _confirms_recipes_it_has(self) -> Self:
        plain = sum(recipe.order is None for recipe in self.recipes.values())
        if self.target.confirm > plain:
            _refuse(
                f"target.confirm {self.target.confirm} with {plain} recipes in random order",
                f"a number from 2 to {plain}",
                "lower target.confirm",
            )
        return self

    @model_validator(mode="after")
    def _baseline_is_candidate(self) -> Self:
        first = next(iter(self.recipes))
        if self.recipes[first].role != "candidate" or self.recipes[first].order:
            _refuse(
                f"first recipe {first!r}",
                "a candidate without an order, since it is the baseline of all verdicts",
                "put such a recipe first",
            )
        return self

    @model_validator(mode="after")
    def _ordered_recipes_have_a_twin(self) -> Self:
        plain = [recipe.dataset_spec for recipe in self.recipes.values() if not recipe.order]
        for name, recipe in self.recipes.items():
            if recipe.order and recipe.dataset_spec not in plain:
                _refuse(
                    f"recipe {name!r} has an order and no twin without one",
                    "a recipe with the same steps and mix in random order, to compare with",
                    f"add such a recipe, or remove the order of {name!r}",
                )
        return self

    @property
    def baseline(self) -> str:
        """Name of the recipe that verdicts compare with."""
        return next(iter(self.recipes))


def _refuse(found: str, expected: str, fix: str) -> NoReturn:
    raise PydanticCustomError("rule", "{found}", {"found": found, "expected": expected, "fix": fix})
