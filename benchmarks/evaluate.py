"""Multiple choice beside lm-evaluation-harness: the same predictions, time, memory.

    python -P benchmarks/evaluate.py --peer-python PEER/bin/python --data mmlu.tar.gz

PEER is an environment with lm-eval 0.4.13 and accelerate. Models are GPT-2s of 4 layers, 128 wide,
with GPT-2's 50,257 words from `--tokenizer` (a folder with `tokenizer.json`): one as initialised,
one trained for a minute on the set's validation questions, so that it has learnt to answer with
letters. Each is asked by both programs, one after the other, each in a process of its own: the
harness its `mmlu` tasks, curricle `evaluate mmlu` with the letters alone, which is the same work,
and as it is, with the answers in cloze form as well. Seconds of wall clock and of CPU time, and the
peak resident memory, are those of whole processes, from start to end. With `--form cloze` the
harness's `mmlu_continuation` tasks stand beside our log-likelihoods of the right answers' texts.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from tokenizers import Tokenizer

from curricle.core.jobs import ModelSpec
from curricle.core.questions import LETTERS, Question, read_questions
from curricle.core.tokenizer_file import TOKENIZER, load_tokenizer
from curricle.models.checkpoint import save_spec, save_weights
from curricle.models.decoder import Decoder, build_model
from curricle.models.huggingface import export_model
from curricle.models.prompts import letter_prompt

SUBJECTS = "abstract_algebra,econometrics,high_school_us_history,philosophy,virology"
PEER = Path(__file__).with_name("lm_eval_peer.py")
TRAINING_LENGTH = 256


@dataclass(frozen=True)
class Usage:
    """What a process took."""

    seconds: float
    cpu_seconds: float
    mebibytes: float


def main() -> None:
    """Print the table."""
    settings = parse()
    questions = read_questions(settings.data)
    columns, rows_of = FORMS[settings.form]
    print(f"{settings.threads} thread(s), batch size of the harness {settings.batch_size}\n")
    print(f"| {' | '.join(columns)} |", "|---" * len(columns) + "|", sep="\n")
    with tempfile.TemporaryDirectory(dir=settings.folder) as scratch:
        folder = Path(scratch)
        write_peer_data(questions, folder / "data")
        for length in settings.contexts:
            for name in settings.models:
                steps = settings.steps if name == "trained" else 0
                model = make_model(questions, settings.tokenizer, length, steps, folder)
                for row in rows_of(name, length, model, settings, folder):
                    print("| " + " | ".join(map(str, row)) + " |", flush=True)


def compare_letters(
    name: str, length: int, model: Path, settings: argparse.Namespace, folder: Path
) -> Iterator[list[object]]:
    """A row each for the harness, our letters alone, and all that we measure."""
    peer, theirs = run_peer(model, "default", settings, folder)
    expected = np.concatenate([peer["log_likelihoods"][x] for x in sorted(settings.subjects)])
    yield [name, length, "", "", "", f"lm-eval {peer['version']}", *cells(theirs, theirs)]
    for label, option in (("curricle, letters", "--no-cloze"), ("curricle", "--cloze")):
        rows, ours = run_ours(model, option, settings, folder)
        found = np.stack([rows[f"loglikelihood_{letter}"].to_numpy() for letter in LETTERS], axis=1)
        equal = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
        cut = int(rows["truncated"].to_numpy().sum())
        parity = [f"{equal} of {len(expected)}", f"{np.abs(found - expected).max():.1e}"]
        yield [name, length, cut, *parity, label, *cells(ours, theirs)]


def compare_cloze(
    name: str, length: int, model: Path, settings: argparse.Namespace, folder: Path
) -> Iterator[list[object]]:
    """One row: how far the right answers' log-likelihoods are from the harness's."""
    peer, _ = run_peer(model, "continuation", settings, folder)
    expected = np.concatenate([peer["log_likelihoods"][x] for x in sorted(settings.subjects)])
    rows, _ = run_ours(model, "--cloze", settings, folder)
    right = [LETTERS.index(letter) for letter in rows["answer"].to_pylist()]
    found = -rows["answer_nats"].to_numpy()
    differences = np.abs(found - expected[np.arange(len(right)), right])
    yield [name, length, f"lm-eval {peer['version']}", len(right), f"{differences.max():.1e}"]


FORMS = {
    "letters": (
        (
            *("model", "context", "cut", "equal predictions", "largest difference, nats"),
            *("program", "s", "times", "CPU s", "times", "MiB"),
        ),
        compare_letters,
    ),
    "cloze": (
        ("model", "context", "program", "answers", "largest difference, nats"),
        compare_cloze,
    ),
}


def cells(usage: Usage, reference: Usage) -> list[str]:
    """What a process took, and how many times less than the reference."""
    return [
        f"{usage.seconds:.1f}",
        f"{reference.seconds / usage.seconds:.1f}",
        f"{usage.cpu_seconds:.1f}",
        f"{reference.cpu_seconds / usage.cpu_seconds:.1f}",
        f"{usage.mebibytes:.0f}",
    ]


def run_peer(
    model: Path, form: str, settings: argparse.Namespace, folder: Path
) -> tuple[Any, Usage]:
    """The harness's log-likelihoods; `form` as `lm_eval_peer.py` has it."""
    task = {
        "model": str(model),
        "data": str(folder / "data"),
        "subjects": settings.subjects,
        "shots": settings.shots,
        "threads": settings.threads,
        "batch_size": settings.batch_size,
        "device": settings.device,
        "form": form,
    }
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    result = folder / "peer.json"
    command = [str(settings.peer_python), "-P", str(PEER), str(folder / "task.json"), str(result)]
    usage = run(command, settings.threads)
    return json.loads(result.read_text(encoding="utf-8")), usage


def run_ours(
    model: Path, option: str, settings: argparse.Namespace, folder: Path
) -> tuple[Any, Usage]:
    """Our rows."""
    command = [str(Path(sys.executable).with_name("curricle")), "evaluate", "mmlu", option]
    command += ["--model", str(model), "--data", str(settings.data), "--shots", str(settings.shots)]
    command += ["--subjects", ",".join(settings.subjects), "--threads", str(settings.threads)]
    command += ["--device", settings.device, "--output", str(folder / "ours.json")]
    usage = run(command, settings.threads)
    return pq.read_table(folder / "ours.parquet"), usage


def run(command: Sequence[str], threads: int) -> Usage:
    """Run a command to its end and say what it took. Raises RuntimeError if it fails."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(threads),
        "RAYON_NUM_THREADS": str(threads),  # of the tokenizers
    }
    with tempfile.TemporaryFile("w+") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise RuntimeError(f"{' '.join(command)}:\n{log.read()[-2000:]}")
    return Usage(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def make_model(
    questions: Sequence[Question], tokenizer: Path, length: int, steps: int, folder: Path
) -> Path:
    """A Hugging Face folder with a GPT-2 of `length` positions, trained for `steps` steps."""
    words = load_tokenizer(tokenizer)
    spec = ModelSpec(
        family="gpt2",
        num_layers=4,
        width=128,
        num_heads=4,
        vocabulary_size=words.get_vocab_size(),
        sequence_length=length,
    )
    model = build_model(spec, seed=0)
    if steps:
        train(model, training_windows(questions, words), steps)
    checkpoint = folder / f"checkpoint-{length}-{steps}"
    checkpoint.mkdir()
    save_spec(checkpoint, spec)
    save_weights(checkpoint, model.state_dict())
    output = folder / f"model-{length}-{steps}"
    export_model(checkpoint, tokenizer, output)
    return output


def training_windows(questions: Sequence[Question], tokenizer: Tokenizer) -> torch.Tensor:
    """The validation questions with their answers as one stream, in windows (rows, T + 1)."""
    texts = [
        f"{letter_prompt(question, [])} {question.answer}\n\n"
        for question in questions
        if question.split == "val"
    ]
    tokens = [token for encoding in tokenizer.encode_batch(texts) for token in encoding.ids]
    rows = len(tokens) // (TRAINING_LENGTH + 1)
    return torch.tensor(tokens[: rows * (TRAINING_LENGTH + 1)]).view(rows, -1)


def train(model: Decoder, windows_BT1: torch.Tensor, steps: int) -> None:
    """AdamW on random batches of 4."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    draw = torch.Generator().manual_seed(0)
    for _ in range(steps):
        batch = windows_BT1[torch.randint(len(windows_BT1), (4,), generator=draw)]
        optimizer.zero_grad()
        model(batch).backward()
        optimizer.step()
    model.eval()


def write_peer_data(questions: Sequence[Question], folder: Path) -> None:
    """`<subject>_<split>.json`, a question a line."""
    folder.mkdir()
    for question in questions:
        row = {
            "question": question.question,
            "choices": question.choices,
            "answer": question.answer_index,
        }
        path = folder / f"{question.subject}_{question.split}.json"
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="MMLU")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with tokenizer.json")
    parser.add_argument("--form", choices=FORMS, default="letters")
    parser.add_argument("--contexts", type=int, nargs="+", default=[2048, 512])
    parser.add_argument("--models", nargs="+", default=["random", "trained"])
    parser.add_argument("--subjects", type=lambda text: text.split(","), default=SUBJECTS)
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60, help="of training")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch-size", type=int, default=1, help="of the harness")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, help="where models and results go for the while")
    settings = parser.parse_args()
    if not (settings.tokenizer / TOKENIZER).is_file():
        parser.error(f"{settings.tokenizer}: no {TOKENIZER}")
    return settings


if __name__ == "__main__":
    main()
