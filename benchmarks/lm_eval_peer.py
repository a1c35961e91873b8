"""Runs lm-evaluation-harness on local questions; for an environment that has it, but not curricle.

    python -P lm_eval_peer.py SETTINGS.json RESULT.json

`-P` keeps the scripts beside this one from being taken for packages. The settings name the model's
folder, a folder of `<subject>_{dev,test}.json` (lines with `question`, `choices` and `answer`, 0 to
3), subjects, shots, threads, batch size, device and `form`: `default` for letters, `continuation`
for the cloze form. Wording, splits and metric are those of the harness's own `mmlu` tasks; only the
place of the data is ours. The result has the seconds of the evaluation, the process's peak memory
in MiB, and each question's log-likelihoods by subject.
"""

import importlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Read the settings, evaluate, write the result."""
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch: Any = importlib.import_module("torch")
    torch.set_num_threads(settings["threads"])
    lm_eval: Any = importlib.import_module("lm_eval")
    tasks: Any = importlib.import_module("lm_eval.tasks")
    with tempfile.TemporaryDirectory() as folder:
        names = [write_task(subject, settings, Path(folder)) for subject in settings["subjects"]]
        manager = tasks.TaskManager(include_path=folder, include_defaults=False)
        started = time.perf_counter()
        found = lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": settings["model"], "dtype": "float32"},
            tasks=names,
            task_manager=manager,
            num_fewshot=settings["shots"],
            batch_size=settings["batch_size"],
            device=settings["device"],
            log_samples=True,
            bootstrap_iters=0,
        )
        seconds = time.perf_counter() - started
    result = {
        "version": importlib.import_module("importlib.metadata").version("lm_eval"),
        "seconds": seconds,
        "peak_mebibytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "log_likelihoods": {
            subject: likelihoods(found["samples"][name])
            for subject, name in zip(settings["subjects"], names, strict=True)
        },
        "accuracy": {name: found["results"][name]["acc,none"] for name in names},
        "standard_error": {name: found["results"][name]["acc_stderr,none"] for name in names},
    }
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")


def write_task(subject: str, settings: dict[str, Any], folder: Path) -> str:
    """Write a task that is the harness's own, with our data files; returns its name."""
    home = Path(str(importlib.import_module("lm_eval").__file__)).parent
    original = home / "tasks" / "mmlu" / settings["form"] / f"mmlu_{subject}.yaml"
    files = {
        split: str(Path(settings["data"], f"{subject}_{split}.json")) for split in ("dev", "test")
    }
    name = f"local_{subject}"
    task = {
        "include": str(original),
        "task": name,
        "tag": None,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files},
    }
    (folder / f"{name}.yaml").write_text(json.dumps(task), encoding="utf-8")  # JSON is YAML
    return name


def likelihoods(samples: list[dict[str, Any]]) -> list[list[float]]:
    """Log-likelihoods of each question's choices, in the order of the questions."""
    ordered = sorted(samples, key=lambda sample: int(sample["doc_id"]))
    return [[float(answer[0]) for answer in sample["filtered_resps"]] for sample in ordered]


if __name__ == "__main__":
    main()
