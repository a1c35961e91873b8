"""The report: gathers what a study has found so far, and the step that stores it."""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from curricle.analysis.accuracies import accuracy_table
from curricle.analysis.cautions import Caution, movement_cautions, tuned_at_edge_caution
from curricle.analysis.content import ReportContent, StageProgress, SweepVariant
from curricle.analysis.costs import costs_of
from curricle.analysis.documents import DocumentComparison, compare_documents
from curricle.analysis.multiple_choice import LetterReport, letter_report
from curricle.analysis.plots.rankings import ranking_figure
from curricle.analysis.plots.style import to_png
from curricle.analysis.ranking import CANDIDATE, rank_domains
from curricle.analysis.report import render_report
from curricle.analysis.results import ranking_table, results_table, write_results
from curricle.analysis.summary import render_summary
from curricle.analysis.table_ranking import TableRanking
from curricle.core import provenance
from curricle.core.plain import to_plain
from curricle.core.store import Store
from curricle.core.token_dataset import read_manifest
from curricle.recipes.specs.curricula import transfers_of
from curricle.recipes.study import Study
from curricle.tasks.arm_reads import arm_reads
from curricle.tasks.comparisons import (
    by_rounding,
    by_schedule,
    charges_of,
    comparisons_of,
    main_targets,
)
from curricle.tasks.evaluation import EvaluationStep
from curricle.tasks.plan import RANDOM, StudyPlan
from curricle.tasks.plan.methods import MethodsPlan
from curricle.tasks.results import collect_results
from curricle.tasks.score_quality import scored_samples
from curricle.tasks.session import Session
from curricle.tasks.step import Step, first_named
from curricle.tasks.train import TrainingStep

REPORT, RESULTS, SUMMARY = "report.html", "results.parquet", "summary.txt"


@dataclass(frozen=True)
class ReportStep(Step):
    """The finished study's page, results table and summary."""

    kind: ClassVar[str] = "report"
    verb: ClassVar[str] = "write report"
    version: ClassVar[int] = 7
    plan: StudyPlan
    needs: tuple[Step, ...]

    @property
    def name(self) -> str:
        """The study's name."""
        return self.plan.study.name

    @property
    def spec(self) -> Mapping[str, Any]:
        """The study, but for the places where things are kept or found."""
        places = {"store", "tracking", "corpora"}
        plain = self.plan.study.model_dump(mode="json", exclude=places)
        plain["evaluation"].pop("mmlu")
        if not plain["proxy"]["larger_batches"]:  # reports from before there were any stay valid
            plain["proxy"].pop("larger_batches")
        return plain

    @property
    def inputs(self) -> Mapping[str, Step]:
        """Everything it reports on."""
        return {f"input-{number:04}": step for number, step in enumerate(self.needs)}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write `report.html`, `results.parquet` and `summary.txt`."""
        del inputs
        content = gather(self.plan, session.store, ended=True)
        (folder / REPORT).write_text(render_report(content), encoding="utf-8")
        (folder / SUMMARY).write_text(render_summary(content), encoding="utf-8")
        write_results(collect_results(self.plan, session.store), folder / RESULTS)
        return {}


def report_step(plan: StudyPlan, store: Store) -> ReportStep:
    """The report on what a study whose ranking is there has found."""
    steps = [step for steps in plan.layout(store).values() for step in steps]
    kinds = (TrainingStep, EvaluationStep)
    chosen = [step for step in steps if isinstance(step, kinds) or step.kind == "ranking"]
    return ReportStep(plan, tuple(step for step in chosen if store.exists(step.artifact)))


def publish(session: Session, step: ReportStep) -> None:
    """Put report, summary and ranking figure on the study's run in MLflow."""
    folder = session.store.folder(step.artifact)
    tiny = step.plan.ranking.tiny(session.store)
    assert tiny is not None
    files: dict[str, str | bytes] = {
        REPORT: (folder / REPORT).read_bytes(),
        SUMMARY: (folder / SUMMARY).read_bytes(),
        "ranking.png": to_png(ranking_figure(tiny)),
    }
    values = {
        "validation/loss/best": tiny.best.mean,
        "recipes": float(len(step.plan.study.recipes)),
    }
    session.tracker.log_study(values, files)


def gather(plan: StudyPlan, store: Store, *, ended: bool | None = None) -> ReportContent:
    """What the store holds of the study now, as the report's content.

    `ended`: whether nothing more is being made; by default it is where the report on just this is
    in the store.
    """
    results = collect_results(plan, store)
    rankings = _rankings(plan, store)
    targets = main_targets(plan, results)
    labels = list(plan.study.curricula)
    decision = plan.ranking.decide(store)
    progress = _progress(plan, store)
    if ended is None:
        ended = decision.from_ranking and store.exists(report_step(plan, store).artifact)
    return ReportContent(
        study=plan.study.name,
        status=_status(progress, ended=ended),
        ended=ended,
        progress=progress,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        tiny_rate=plan.study.proxy.tiny_rate,
        standard_rate=plan.study.proxy.standard_rate,
        **rankings,
        **_band(plan, store),
        check=_check(plan.methods[0], store),
        variants=tuple(_variants(plan, store)),
        comparisons=comparisons_of(targets, plan.study.curricula),
        by_schedule=by_schedule(plan, results),
        by_rounding=by_rounding(plan, targets),
        curricula=tuple(labels),
        transfers=transfers_of(plan.study.curricula),
        reads=arm_reads(plan, store, decision.best),
        curves=_curves(plan, store, decision.best),
        evaluation=targets if len(targets) else None,
        documents=_documents(plan, store, decision.best),
        **_multiple_choice(plan, store, decision.best),
        **_scores(plan, store, decision.best),
        costs=costs_of(results) if len(results) else None,
        **charges_of(plan, store, results, decision.best),
        **_corpus(plan, store),
        cautions=(*_cautions(results, plan), *_at_edge(plan, store)),
        provenance=_provenance(plan.study),
        spec=_as_yaml(plan.study),
    )


def _progress(plan: StudyPlan, store: Store) -> tuple[StageProgress, ...]:
    """Each stage's steps, as far as they can be told now."""
    found = []
    for stage, steps in plan.layout(store).items():
        missing = [step for step in steps if not store.exists(step.artifact)]
        done, ahead = len(steps) - len(missing), first_named(missing)
        found.append(StageProgress(stage=stage, steps=len(steps), done=done, next=ahead))
    return tuple(found)


def _status(progress: Sequence[StageProgress], *, ended: bool) -> str:
    """How the report calls the study."""
    planned = sum(stage.steps for stage in progress)
    missing = planned - sum(stage.done for stage in progress)
    if not missing:
        return "finished"
    return f"finished without {missing} of {planned} steps" if ended else "unfinished"


def _rankings(plan: StudyPlan, store: Store) -> dict[str, Any]:
    made, proxy = plan.ranking.made(store), plan.study.proxy
    if (tiny := made.get(proxy.tiny_rate)) is None:
        return {}
    table = results_table(row for run in tiny.runs for row in run.rows(store))
    rows = ranking_table(table, stage="proxy")
    found: dict[str, Any] = {
        "tiny": tiny.read(store),
        "domains": rank_domains(rows, tiny.baseline, tiny.roles, order_only=tiny.order_only),
    }
    if (standard := made.get(proxy.standard_rate)) is not None:
        found["standard"] = standard.read(store)
    confirmation = plan.target.present(store, plan.ranking.decide(store).confirmed)
    if confirmation is not None and store.exists(confirmation.artifact):
        found["confirmation"] = confirmation.read(store)
    return found


def _variants(plan: StudyPlan, store: Store) -> Iterator[SweepVariant]:
    """The rankings of the sweep's variants that there are."""
    for ranking, methods in zip(plan.rankings[1:], plan.methods[1:], strict=True):
        made = {rate: step.read(store) for rate, step in ranking.made(store).items()}
        if made:
            yield SweepVariant(name=ranking.sweep.name, rankings=made, check=_check(methods, store))


def _check(methods: MethodsPlan, store: Store) -> TableRanking | None:
    """Ways of ranking beside the tuned target, if they have been compared."""
    step = methods.present(store)
    return step.read(store) if step is not None and store.exists(step.artifact) else None


def _band(plan: StudyPlan, store: Store) -> dict[str, Any]:
    """The usable rates, and each recipe's alignment at the start."""
    band = plan.band.present(store)
    if band is None or not store.exists(band.artifact):
        return {}
    starts = [step for step in plan.band.starts() if store.exists(step.artifact)]
    rows = [
        {"recipe": step.run.recipe, "seed": step.run.training.seed, **step.facts(store)}
        for step in starts
    ]
    columns = ["recipe", "seed", "gradient_cosine", "update_cosine", "gain"]
    return {"band": band.read(store), "alignment": pd.DataFrame(rows)[columns]}


def _curves(plan: StudyPlan, store: Store, best: str) -> pd.DataFrame | None:
    """Held-out loss along the targets' runs; None unless the study measures it on the way."""
    if plan.study.target.validate_every is None:
        return None
    rows = [
        {"arm": run.curriculum, "seed": run.training.seed, "tokens": tokens, "value": value}
        for run in plan.curricula.target_runs(best)
        if store.exists(run.artifact)
        for tokens, value in run.curve(store)
    ]
    return pd.DataFrame(rows, columns=["arm", "seed", "tokens", "value"])


def _documents(plan: StudyPlan, store: Store, recipe: str) -> tuple[DocumentComparison, ...]:
    """The arms against the random order, on the documents of each."""
    tables: dict[str, list[pd.DataFrame]] = {}
    for step in plan.evaluation.steps(plan.curricula.target_runs(recipe)):
        if step.job_kind == "perplexity" and not step.weight_bits and store.exists(step.artifact):
            rows = pq.read_table(store.folder(step.artifact) / "perplexity.parquet").to_pandas()
            tables.setdefault(step.run.curriculum, []).append(rows)
    return compare_documents(tables, RANDOM) if RANDOM in tables else ()


def _multiple_choice(plan: StudyPlan, store: Store, recipe: str) -> dict[str, Any]:
    """Each model's letters, and the arms' accuracies by subject."""
    reports: list[LetterReport] = []
    tables: dict[str, list[pd.DataFrame]] = {}
    for step in plan.evaluation.steps(plan.curricula.target_runs(recipe)):
        if step.job_kind == "multiple-choice" and store.exists(step.artifact):
            folder = store.folder(step.artifact)
            rows = pq.read_table(folder / "multiple_choice.parquet").to_pandas()
            tables.setdefault(step.run.curriculum, []).append(rows)
            report = letter_report(
                step.run.curriculum,
                rows["answer"].tolist(),
                rows["prediction"].tolist(),
                seed=step.run.training.seed,
                truncated=float(rows["truncated"].mean()),
            )
            reports.append(report)
    return {
        "letters": tuple(reports),
        "subjects": accuracy_table(tables) if tables else None,
    }


def _scores(plan: StudyPlan, store: Store, recipe: str) -> dict[str, Any]:
    """What the scores are worth: distribution of the first, texts at its ends, quality of all."""
    found = scored_samples(plan, store, recipe)
    if found is None:
        return {}
    return {
        "score": found.score,
        "scores": found.first,
        "score_facts": {"samples scored": f"{found.samples:,}"},
        "score_qualities": found.qualities,
        "examples": found.examples,
    }


def _corpus(plan: StudyPlan, store: Store) -> dict[str, Any]:
    """Documents and tokens per recipe and domain, drops by reason, and what each recipe does."""
    sizes, drops = [], []
    for name, step in plan.preparation.datasets.items():
        if not store.exists(step.artifact):
            continue
        manifest = read_manifest(store.folder(step.artifact))
        for domain, entry in manifest["domains"].items():
            sizes.append({"recipe": name, "domain": domain, **entry})
        for account in manifest["steps"]:
            for reason, by_domain in account["dropped"].items():
                documents = sum(by_domain.values())
                drops.append({"recipe": name, "reason": reason, "documents": documents})
    recipes = [
        {
            "recipe": name,
            "dimension": recipe.dimension,
            "role": recipe.role,
            "description": describe(recipe.model_dump(mode="json")),
        }
        for name, recipe in plan.study.recipes.items()
    ]
    return {
        "corpus": pd.DataFrame(sizes) if sizes else None,
        "drops": pd.DataFrame(drops) if drops else None,
        "recipes": pd.DataFrame(recipes),
    }


def describe(recipe: Mapping[str, Any]) -> str:
    """A recipe in a few words: its steps in turn, its mix, its order."""
    parts = [step["step"] for step in recipe["steps"]]
    if recipe["mix"]:
        parts.append(f"mix {_mix(recipe['mix'])}")
    if recipe["order"]:
        by = recipe["order"]["by"]
        score = by["column"] if isinstance(by, Mapping) else by
        parts.append(f"by {score}, {recipe['order']['direction']}")
    return "; ".join(parts) or "as it is"


def _mix(mix: Mapping[str, Any]) -> str:
    """Weights by domain or by name, and what is special about them."""
    weights = mix["weights"]
    parts = [weights] if isinstance(weights, str) else [f"{k} {v:g}" for k, v in weights.items()]
    if mix["temperature"] != 1:
        parts.append(f"temperature {mix['temperature']:g}")
    parts += [f"without {domain}" for domain in mix["without"]]
    return ", ".join(parts)


def _cautions(results: pd.DataFrame, plan: StudyPlan) -> tuple[Caution, ...]:
    """Recipes whose proxies have hardly moved at the tiny rate."""
    rate = plan.study.proxy.tiny_rate
    rows = results[(results["stage"] == "proxy") & (results["learning_rate"] == rate)]
    first = rows[rows["metric"] == "train/first_loss"].groupby("seed")["value"].mean()
    losses = ranking_table(rows, stage="proxy")
    initial = {int(str(seed)): float(value) for seed, value in first.items()}
    recipes = plan.study.recipes.items()
    candidates = [name for name, one in recipes if one.role == CANDIDATE and not one.order]
    return movement_cautions(losses, initial, candidates) if len(losses) else ()


def _at_edge(plan: StudyPlan, store: Store) -> Iterator[Caution]:
    """Targets that are best at an end of the rates that they are tuned over."""
    for end, recipes in plan.target.at_edge(store).items():
        yield tuned_at_edge_caution(end, recipes)


def _provenance(study: Study) -> dict[str, str]:
    code, device = provenance.code_version(), provenance.device_description()
    commit = str(code.get("commit") or "not a git checkout")
    dirty = " with local changes" if code.get("dirty") else ""
    packages = provenance.package_versions()
    return {
        "curricle": f"{code['version']}, commit {commit}{dirty}",
        "device": f"{device['processor']}, {device['cores']} cores, {device['system']}",
        "packages": ", ".join(f"{name} {version}" for name, version in packages.items()),
        "store": study.store,
    }


def _as_yaml(study: Study) -> str:
    stream = io.StringIO()
    plain = json.loads(json.dumps(to_plain(study.model_dump(mode="json"))))
    YAML().dump(plain, stream)
    return stream.getvalue()
