"""The study: one frozen, complete description of an experiment, as its YAML file says it.

Unknown keys are refused. What changes a result is identity and ends in fingerprints; `store` and
`tracking` say where things are kept, `preparation` and `hardware` where work is done, and don't.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from curricle.recipes.specs.base import Name, PositiveInt, Spec, refuse
from curricle.recipes.specs.curricula import Curriculum, Stages, check_twins
from curricle.recipes.specs.evaluation import Evaluation
from curricle.recipes.specs.preparation import Preparation
from curricle.recipes.specs.recipe import Recipe, TokenizerSpec
from curricle.recipes.specs.runs import check_training, check_validation_points
from curricle.recipes.specs.scoring import FurtherProxy, Scoring, ScoringProxy
from curricle.recipes.specs.sources import Source
from curricle.recipes.specs.sweep import Band, Budget, Sweep, Variant, changed, check_recipes
from curricle.recipes.specs.training import Proxy, Target, Training


def names_a_user(address: str) -> bool:
    """Whether a URL has a user name in it, and so a password perhaps."""
    return "@" in address.rsplit("://", maxsplit=1)[-1].split("/", maxsplit=1)[0]


class Tracking(Spec):
    """MLflow's tracking address.

    By default that in MLFLOW_TRACKING_URI, or a SQLite file beside the artifacts.
    """

    mlflow: str | None = None

    @model_validator(mode="after")
    def _no_credentials(self) -> Self:
        if self.mlflow is not None and names_a_user(self.mlflow):
            refuse(
                "mlflow: an address with a user name in it",
                "an address alone",
                "put MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD into the environment",
            )
        return self


class Hardware(Spec):
    """What the jobs run on; no part of any identity.

    `auto` takes the GPUs there are, else the CPU. A training job runs on `devices` of each of
    `nodes` machines, and shares its batches out by `strategy`. `workers` is the number of jobs at
    once: by default one a core (for jobs of one thread), or one a GPU.
    """

    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: PositiveInt = 1
    nodes: PositiveInt = 1
    strategy: Literal["ddp", "fsdp"] = "ddp"
    workers: PositiveInt | None = None

    @property
    def ranks(self) -> int:
        """Devices of all nodes, which share a training job's batches."""
        return self.nodes * self.devices


class Study(Spec):
    """A whole study. The first recipe is the baseline that verdicts compare with.

    `sweep` are variants of proxy and target, `band` finds the rates to use, `budget` limits what
    the proxies cost.
    """

    name: Name
    store: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    corpora: Mapping[Name, Source] = Field(min_length=1)
    tokenizer: TokenizerSpec = TokenizerSpec()
    recipes: Mapping[Name, Recipe] = Field(min_length=2)
    proxy: Proxy
    target: Target
    sweep: Mapping[Name, Variant] = Field(default_factory=dict)
    band: Band | None = None
    budget: Budget = Budget()
    scoring: Scoring
    curricula: Mapping[Name, Curriculum] = Field(default_factory=dict)
    evaluation: Evaluation
    tracking: Tracking = Tracking()
    preparation: Preparation = Preparation()
    hardware: Hardware = Hardware()

    @model_validator(mode="after")
    def _sweeps_fit(self) -> Self:
        for name, variant in self.sweep.items():
            check_recipes(f"sweep.{name}.recipes", variant.recipes, self.recipes, self.baseline)
        if self.band is not None:
            check_recipes("band.recipes", self.band.recipes, self.recipes, self.baseline)
        for sweep in self.sweeps():
            place = f"sweep.{sweep.name}." if sweep.name else ""
            self._check_batch(f"{place}proxy", sweep.proxy)
            if sweep.target is not None:
                self._check_batch(f"{place}target", sweep.target)
            if sweep.name and sweep.target is not None and sweep.target.tuning is None:
                refuse(
                    f"sweep.{sweep.name}.target without tuning",
                    "settings to tune it over, as its ranking is compared with the proxies'",
                    "give target.tuning: {learning_rates: [...]}, or leave this target out",
                )
        return self

    def _check_batch(self, label: str, training: Training) -> None:
        """Refuse a run that is shorter than its largest batch, as far as that can be told."""
        grid = training if isinstance(training, Proxy) else getattr(training, "tuning", None)
        others = [setting.batch_size for setting in grid.settings(training)] if grid else []
        micro = training.micro_batch_size or 1
        for size in dict.fromkeys((training.batch_size, *others)):
            smallest = size * self.tokenizer.sequence_length
            if training.tokens is not None and training.tokens < smallest:
                refuse(
                    f"{label}.tokens {training.tokens}",
                    f"at least one batch of {size} x "
                    f"{self.tokenizer.sequence_length} = {smallest} tokens",
                    f"raise {label}.tokens or lower {label}.batch_size",
                )
            if size % micro:
                refuse(
                    f"{label}: a batch of {size} with micro_batch_size {micro}",
                    "batches of whole micro-batches",
                    "change one of them",
                )

    @model_validator(mode="after")
    def _scoring_checkpoints_are_apart(self) -> Self:
        for name, proxy in self.scoring_proxies().items():
            place, tokens = _place_of(name), proxy.training.tokens or 0
            per_step = proxy.training.batch_size * self.tokenizer.sequence_length
            steps = tokens // per_step
            places = [round(share * steps) for share in (self.scoring.early, *self.scoring.late)]
            if 0 in places or len(set(places)) < len(places):
                refuse(
                    f"{place}.tokens {tokens}: {steps} steps of {per_step} tokens",
                    "enough steps to keep the early and late checkpoints apart",
                    f"raise {place}.tokens, or move scoring.early and scoring.late apart",
                )
        return self

    @model_validator(mode="after")
    def _scoring_proxies_differ(self) -> Self:
        found: dict[str, ScoringProxy] = {}
        for name, proxy in self.scoring_proxies().items():
            if alike := [other for other in found if proxy.is_like(found[other])]:
                refuse(
                    f"{_place_of(name)}: the same proxy as {_place_of(alike[0])}",
                    "a proxy of another model, run or mix",
                    "change it, or use the scores of the other one",
                )
            found[name] = proxy
        return self

    @model_validator(mode="after")
    def _runs_have_room(self) -> Self:
        length, devices = self.tokenizer.sequence_length, self.hardware.ranks
        for label, training, tokens in self._kinds_of_run():
            check_training(label, training, tokens=tokens, sequence_length=length, devices=devices)
        check_validation_points("proxy", self.proxy, length)
        check_validation_points("target", self.target, length)
        return self

    def _kinds_of_run(self) -> Iterator[tuple[str, Training, int | None]]:
        """By the study's key: settings of runs, and their tokens if these are known yet."""
        for sweep in self.sweeps():
            place = f"sweep.{sweep.name}." if sweep.name else ""
            for setting in sweep.proxy.settings(sweep.proxy):
                yield f"{place}proxy", sweep.proxy.at(setting), sweep.proxy.tokens
            if (target := sweep.target) is not None:
                tuned = target.tuning.settings(target) if target.tuning else ()
                for setting in (target.main, *tuned):
                    yield f"{place}target", target.at(setting), target.tokens
        for name, schedule in self.target.schedules.items():
            yield f"target.schedules.{name}", self.target.under(schedule), self.target.tokens
        for name, proxy in self.scoring_proxies().items():
            yield _place_of(name), proxy.training, proxy.training.tokens

    @model_validator(mode="after")
    def _sharpness_points_are_steps_apart(self) -> Self:
        if self.target.tokens is None or self.evaluation.sharpness is None:
            return self
        steps = self.target.tokens // (self.target.batch_size * self.tokenizer.sequence_length)
        if self.evaluation.sharpness.points > steps:
            refuse(
                f"evaluation.sharpness.points {self.evaluation.sharpness.points}",
                f"at most the target's {steps} steps",
                "lower it, or raise target.tokens",
            )
        return self

    @model_validator(mode="after")
    def _stride_fits(self) -> Self:
        stride, longest = self.evaluation.stride, self.tokenizer.sequence_length
        if stride is not None and stride > longest:
            refuse(
                f"evaluation.stride {stride} with tokenizer.sequence_length {longest}",
                f"a stride of 1 to {longest}",
                "lower evaluation.stride, or leave it out",
            )
        return self

    @model_validator(mode="after")
    def _curricula_have_names_of_their_own(self) -> Self:
        taken = {"random", "random-longer"}
        for name in self.curricula:
            labels = {name, f"anti-{name}", f"{name}-reshuffled", f"{name}-longer"}
            labels |= {f"{label}-static" for label in (name, f"anti-{name}")}
            if clash := sorted(taken & labels):
                refuse(
                    f"curriculum {name!r} has an arm called {clash[0]!r} like another one",
                    "arms with names of their own",
                    "rename the curriculum",
                )
            taken |= labels
        return self

    @model_validator(mode="after")
    def _curricula_rank_by_known_scores(self) -> Self:
        for curriculum in self.curricula.values():
            if curriculum.scores is None:
                self.scoring.check_known(curriculum.score)
        return self

    @model_validator(mode="after")
    def _twins_choose_alike(self) -> Self:
        check_twins(self.curricula)
        return self

    @model_validator(mode="after")
    def _curricula_have_seeds_of_the_target(self) -> Self:
        for name, curriculum in self.curricula.items():
            if curriculum.seeds is not None and curriculum.seeds > self.target.seeds:
                refuse(
                    f"curriculum {name!r}: {curriculum.seeds} seeds",
                    f"at most target.seeds, {self.target.seeds}",
                    "raise target.seeds, or lower the curriculum's",
                )
        return self

    @model_validator(mode="after")
    def _stages_fill_the_run(self) -> Self:
        for name, curriculum in self.curricula.items():
            if not isinstance(curriculum, Stages):
                continue
            total = sum(stage.tokens for stage in curriculum.stages)
            if self.target.tokens is None:
                refuse(
                    f"curriculum {name!r}: stages in tokens, and target.tokens_per_parameter",
                    f"target.tokens, the {total} of the stages",
                    f"give target.tokens: {total} and leave tokens_per_parameter out",
                )
            if total != self.target.tokens:
                refuse(
                    f"curriculum {name!r}: stages of {total} tokens in all",
                    f"target.tokens, {self.target.tokens}",
                    "change the stages' tokens",
                )
        return self

    @model_validator(mode="after")
    def _mixes_are_of_domains_of_the_corpora(self) -> Self:
        """As far as they can be told before the documents are read."""
        by_corpus = [source.domains for source in self.corpora.values()]
        known = {domain for domains in by_corpus for domain in domains or ()}
        for reader, mix in self._mixes() if None not in by_corpus else ():
            if unknown := sorted(set(mix) - known):
                refuse(
                    f"{reader} reads domain {unknown[0]!r}",
                    f"domains of the corpora, {', '.join(sorted(known))}",
                    "correct its mix, or add a corpus with the domain",
                )
        return self

    def _mixes(self) -> Iterator[tuple[str, Mapping[str, float]]]:
        """Mixes of domains beside those of recipes, each with what reads it."""
        for name, curriculum in self.curricula.items():
            stages = curriculum.stages if isinstance(curriculum, Stages) else ()
            for number, stage in enumerate(stages, start=1):
                yield f"curriculum {name!r}: stage {number}", stage.mix or {}
        for name, proxy in self.scoring.proxies.items():
            yield _place_of(name), proxy.mix or {}

    @model_validator(mode="after")
    def _confirms_recipes_it_has(self) -> Self:
        plain = sum(recipe.order is None for recipe in self.recipes.values())
        if self.target.confirm > plain:
            refuse(
                f"target.confirm {self.target.confirm} with {plain} recipes in random order",
                f"a number from 2 to {plain}",
                "lower target.confirm",
            )
        return self

    @model_validator(mode="after")
    def _baseline_is_candidate(self) -> Self:
        first = next(iter(self.recipes))
        if self.recipes[first].role != "candidate" or self.recipes[first].order:
            refuse(
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
                refuse(
                    f"recipe {name!r} has an order and no twin without one",
                    "a recipe with the same steps and mix in random order, to compare with",
                    f"add such a recipe, or remove the order of {name!r}",
                )
        return self

    def sweeps(self) -> tuple[Sweep, ...]:
        """The study's own sweep and its variants."""
        tokens = self.evaluation.tokens_per_domain
        return (
            Sweep("", self.proxy, self.target, tuple(self.recipes), tokens),
            *(self._variant(name, variant) for name, variant in self.sweep.items()),
        )

    def _variant(self, name: str, variant: Variant) -> Sweep:
        proxy = changed(self.proxy, variant.proxy, f"sweep.{name}.proxy")
        target = None
        if variant.target is not None:
            target = changed(self.target, variant.target, f"sweep.{name}.target")
        recipes = variant.recipes or tuple(self.recipes)
        tokens = variant.tokens_per_domain or self.evaluation.tokens_per_domain
        return Sweep(name, proxy, target, recipes, tokens)

    def scoring_proxies(self) -> dict[str, ScoringProxy]:
        """The proxies that score by name, the study's own first; that has an empty one."""
        scoring, found = self.scoring, {}
        for name, one in {"": FurtherProxy(), **scoring.proxies}.items():
            proxy = changed(self.proxy, one.proxy, f"{_place_of(name)}.proxy")
            run = {"tokens": one.tokens or scoring.tokens, "tokens_per_parameter": None}
            found[name] = ScoringProxy(
                training=proxy.model_copy(update=run),
                learning_rate=one.learning_rate or scoring.learning_rate,
                mix=one.mix,
            )
        return found

    @property
    def baseline(self) -> str:
        """Name of the recipe that verdicts compare with."""
        return next(iter(self.recipes))


def _place_of(proxy: str) -> str:
    """The study's key of a scoring proxy; the study's own has no name."""
    return f"scoring.proxies.{proxy}" if proxy else "scoring"
