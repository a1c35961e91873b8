"""Tasks of lm-evaluation-harness with one of our models, and what comes out of them."""

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curricle.commands.evaluation_inputs import ModelFolder
from curricle.core.errors import InputError

if TYPE_CHECKING:
    from curricle.models.placement import Placement


def run_tasks(
    model: ModelFolder,
    placement: "Placement",
    tasks: Sequence[str],
    shots: int | None,
    limit: int | None,
    include_path: Path | None,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Run `tasks` and write a row per document and metric to `rows.parquet` in `folder`.

    Returns the harness's version, and each task's metrics with their standard errors. What has been
    answered before an interruption isn't asked again; `progress` is told how many requests of the
    kind at hand are done. Raises InputError without the extra `harness`, and for an unknown task.
    """
    evaluator, manager = _harness(include_path)
    if unknown := [name for name in tasks if name not in manager.all_tasks]:
        raise InputError(
            f"task {unknown[0]!r}",
            expected="a task of lm-evaluation-harness, or one in --include-path",
            fix="choose among those that lm-eval ls tasks lists",
        )
    from curricle.core.tokenizer_file import vocabulary_size
    from curricle.models.harness import HarnessModel
    from curricle.models.loading import load_language_model
    from curricle.models.unfinished import Unfinished, identity_of

    loaded = load_language_model(model.path).to(placement.device)
    loaded.check_vocabulary(vocabulary_size(model.tokenizer), "a tokenizer")
    words = model.tokenizer.to_str()
    identity = identity_of({"model": model.path}, words=words, end_of_text=model.end_of_text)
    unfinished = Unfinished(placement, identity, folder)
    asked = HarnessModel(loaded, model.tokenizer, model.end_of_text, unfinished, progress)
    found = evaluator.simple_evaluate(
        model=asked,
        tasks=list(tasks),
        task_manager=manager,
        num_fewshot=shots,
        limit=limit,
        log_samples=True,
    )
    _write_rows(found["samples"], folder / "rows.parquet")
    return {
        "harness": importlib.metadata.version("lm_eval"),
        "tasks": {task: _metrics(entry) for task, entry in found["results"].items()},
    }


def _harness(include_path: Path | None) -> tuple[Any, Any]:
    """The harness's evaluator and its list of tasks."""
    try:
        evaluator: Any = importlib.import_module("lm_eval.evaluator")
        tasks: Any = importlib.import_module("lm_eval.tasks")
    except ModuleNotFoundError as error:
        raise InputError(
            f"lm-evaluation-harness isn't installed ({error})",
            expected="the extra harness",
            fix="pip install 'curricle[harness]'",
        ) from None
    return evaluator, tasks.TaskManager(include_path=str(include_path) if include_path else None)


def _metrics(entry: Mapping[str, Any]) -> dict[str, Any]:
    """`{metric: {value, standard_error}}` out of the harness's `metric,filter` keys."""
    metrics = {}
    for key, value in entry.items():
        name, comma, variant = key.partition(",")
        if comma and not name.endswith("_stderr") and isinstance(value, int | float):
            error = entry.get(f"{name}_stderr,{variant}")
            label = name if variant == "none" else key
            metrics[label] = {
                "value": float(value),
                "standard_error": float(error) if isinstance(error, int | float) else None,
            }
    return metrics


def _write_rows(samples: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("task", pa.string()),
            ("index", pa.int64()),
            ("metric", pa.string()),
            ("value", pa.float64()),
        ]
    )
    rows = [
        {"task": task, "index": int(sample["doc_id"]), "metric": metric, "value": sample[metric]}
        for task, found in samples.items()
        for sample in found
        for metric in sample.get("metrics", [])
        if isinstance(sample.get(metric), int | float)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema), path, compression="zstd")
