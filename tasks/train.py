"""The training step: one proxy or target, on one dataset, in one order, with one seed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Self

from curricle.core.jobs import TrainingSpec
from curricle.core.plain import to_plain
from curricle.core.store import Store
from curricle.models.flops import approximate_training_flops_per_token, run_flops
from curricle.models.jobs import Job
from curricle.models.metrics_log import METRICS
from curricle.recipes.specs.training import Setting
from curricle.tasks.dataset import DatasetStep
from curricle.tasks.materialised_order import MaterialisedOrderStep
from curricle.tasks.order import OrderStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step
from curricle.tasks.tracking import TrackedRun

LOSS = "validation/loss/"


@dataclass(frozen=True)
class TrainingStep(Step):
    """A training run and its place in the study.

    `stage`, `recipe`, `curriculum`, `variant` (of the sweep; empty for the study's own) and
    `schedule` (a name for it, where a study has several) describe it and are no part of its
    identity: a run that two stages need is trained once. Nor is `is_streamed`: such a run reads its
    order's samples from the materialised one, and its dataset isn't fetched.
    """

    kind: ClassVar[str] = "checkpoint"
    verb: ClassVar[str] = "train"
    stage: str
    recipe: str
    curriculum: str
    training: TrainingSpec
    order: OrderStep
    validation: DatasetStep
    irreducible: Step | None = None
    schedule: str | None = None
    variant: str = ""
    is_streamed: bool = False

    @property
    def learning_rate(self) -> float:
        """Peak learning rate."""
        return self.training.optimizer.learning_rate

    @property
    def setting(self) -> Setting:
        """What of it is tuned."""
        optimizer = self.training.optimizer
        return Setting(self.learning_rate, self.training.batch_size, optimizer.weight_decay)

    def with_checkpoints(self, tokens: tuple[int, ...]) -> Self:
        """The same run, keeping checkpoints after so many tokens."""
        return replace(self, training=replace(self.training, checkpoints_at=tokens))

    @property
    def name(self) -> str:
        """Order (which names the recipe) or policy, size, rate and seed."""
        size, seed, selection = (
            self.training.model.size,
            self.training.seed,
            self.training.selection,
        )
        what = f"{self.recipe}-{selection.policy}" if selection else self.order.name
        return f"{what}-{size}-lr{self.learning_rate:g}-seed{seed}"

    @property
    def label(self) -> str:
        """Stage and variant, recipe or curriculum, rate and seed."""
        what = self.curriculum if self.stage == "target" else self.recipe
        what = f"{self.variant} {what}".strip()
        what += f", {self.schedule}" if self.schedule else ""
        return f"{self.stage} {what}, rate {self.learning_rate:g}, seed {self.training.seed}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """The job's spec."""
        training = self.training
        spec = dict(to_plain(training))
        if training.validations_at and training.averaging and training.averaging.method == "last":
            # Once such runs were validated with their first weights until the average began; no
            # other run has changed, so the step's version stands.
            spec["validated_before_average"] = "with the weights as they are"
        selection = training.selection
        if selection and selection.policy == "entropy-v" and selection.inverted:
            # Once such runs read what is farthest from the V; no other run has changed.
            spec["inverted"] = "the V turned round"
        return spec

    @property
    def inputs(self) -> Mapping[str, Step]:
        """What it reads, in which order, and what it is validated on."""
        dataset = self.order.random.dataset
        inputs = {"dataset": dataset, "order": self.order, "validation": self.validation}
        return {**inputs, "irreducible": self.irreducible} if self.irreducible else inputs

    @property
    def aids(self) -> Sequence[Step]:
        """The materialised order."""
        return (MaterialisedOrderStep(self.order),) if self.is_streamed else ()

    @property
    def flops(self) -> int:
        """Operations of training, choosing samples included; validation comes on top."""
        return run_flops(self.training)

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Run the job in a worker."""
        store, materialised = session.store, None
        if self.is_streamed:
            materialised = store.address(MaterialisedOrderStep(self.order).artifact)
            inputs = {role: inputs[role] for role in inputs if role != "dataset"}
        unfinished = store.unfinished(self.artifact)
        return session.pool.run(
            Job("train", self.training, inputs, folder, unfinished, materialised)
        )

    def columns(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of the results table that describe this run."""
        return {
            "stage": self.stage,
            "variant": self.variant,
            "recipe": self.recipe,
            "curriculum": self.curriculum,
            "family": self.training.model.family,
            "size": self.training.model.size,
            "parameters": facts["parameters"],
            "learning_rate": self.learning_rate,
            "batch_size": self.training.batch_size,
            "weight_decay": self.training.optimizer.weight_decay,
            "schedule": self.schedule or self.training.optimizer.schedule,
            "seed": self.training.seed,
            "tokens": self.training.tokens,
            "flops": facts["training_flops"] + facts.get("selection_flops", 0),
        }

    def rows(self, store: Store) -> list[dict[str, Any]]:
        """Rows of the results table: loss per domain and on average, and of the first batch."""
        facts, losses = store.facts(self.artifact), self.final_losses(store)
        values = {"average": sum(losses.values()) / len(losses), **losses}
        columns = self.columns(facts)
        rows = [
            {**columns, "metric": "validation/loss", "domain": name, "value": value}
            for name, value in values.items()
        ]
        first = {"metric": "train/first_loss", "domain": "average", "value": facts["first_loss"]}
        return [*rows, {**columns, **first}]

    def final_losses(self, store: Store) -> dict[str, float]:
        """The held-out loss of each domain at the end."""
        found = store.facts(self.artifact)["validation"]
        return {domain: float(entry["loss"]) for domain, entry in found.items()}

    def average_loss(self, store: Store) -> float:
        """The held-out loss at the end, averaged over domains."""
        losses = self.final_losses(store).values()
        return sum(losses) / len(losses)

    def curve(self, store: Store) -> list[tuple[int, float]]:
        """(tokens, validation loss averaged over domains) wherever the run was validated."""
        return [
            (tokens, sum(losses.values()) / len(losses))
            for tokens, losses in self.losses_along(store).items()
        ]

    def losses_along(self, store: Store) -> dict[int, dict[str, float]]:
        """Validation loss of each domain, by the tokens after which the run was validated."""
        path = store.folder(self.artifact) / METRICS
        points: dict[int, dict[str, float]] = {}
        for entry in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            losses = {
                name.removeprefix(LOSS): value
                for name, value in entry["values"].items()
                if name.startswith(LOSS)
            }
            if losses:
                points[int(entry["tokens"])] = losses
        return points

    @property
    def _flops_by_6n(self) -> int:
        trained = self.training.tokens - self.training.start_at
        return trained * approximate_training_flops_per_token(self.training.model)

    def tracked_run(self, session: Session) -> TrackedRun:
        """The MLflow run: tags, settings, datasets, the metrics file and the final losses."""
        store = session.store
        record = store.record(self.artifact)
        columns = self.columns(record["facts"])
        shown = ("stage", "recipe", "curriculum", "family", "size", "learning_rate", "seed")
        inputs = self.inputs
        return TrackedRun(
            key=f"{self.artifact.fingerprint}-{self.stage}",
            part="training",
            name=self.label,
            tags={
                **{key: str(columns[key]) for key in shown},
                "checkpoint": store.address(self.artifact),
                **session.tracker.tags,
            },
            parameters={**columns, "flops_by_6n": self._flops_by_6n},
            datasets={
                "training": store.address(inputs["dataset"].artifact),
                "validation": store.address(inputs["validation"].artifact),
            },
            values={
                f"validation/loss/{row['domain']}": row["value"]
                for row in self.rows(store)
                if row["metric"] == "validation/loss"
            },
            tokens=self.training.tokens,
            time_ms=round(datetime.fromisoformat(record["created"]).timestamp() * 1000),
            metrics_file=store.folder(self.artifact) / METRICS,
        )
