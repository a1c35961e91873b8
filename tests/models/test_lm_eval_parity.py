"""Every prediction on five subjects of the real MMLU equals lm-evaluation-harness's.

`LM_EVAL_PYTHON` names the Python of an environment with lm-eval 0.4.13 and accelerate.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from curricle.core.questions import read_questions
from curricle.recipes.tokenizing import train

ROOT = Path(__file__).parents[2]
MMLU = ROOT.parent / "shared" / "data" / "mmlu.tar.gz"
HERE = sys.executable if importlib.util.find_spec("lm_eval") else None
PEER = os.environ.get("LM_EVAL_PYTHON", HERE)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer with GPT-2's trap: a blank line is one token at a text's end, two before a word.

    Small, since most of the harness's time goes into the vocabulary.
    """
    texts = [
        f"{question.question}\nA. {question.choices[0]}\nAnswer: {question.answer}\n\n"
        for question in read_questions(MMLU)
        if question.split != "test"
    ]
    tokenizer: Tokenizer = train(texts, 4096)
    assert len(tokenizer.encode("a\n\n").ids) == 2
    assert len(tokenizer.encode("a\n\nb").ids) == 4
    folder = tmp_path_factory.mktemp("words")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(PEER is None, reason="needs lm-eval, or its Python in LM_EVAL_PYTHON")
@pytest.mark.skipif(not MMLU.exists(), reason="needs ../shared/data")
def test_predictions_equal_lm_evaluation_harnesss(words: Path) -> None:
    script = ROOT / "benchmarks" / "evaluate.py"
    command = [sys.executable, "-P", str(script), "--peer-python", str(PEER)]
    command += ["--data", str(MMLU), "--tokenizer", str(words)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-2000:]
    lines = [line for line in result.stdout.splitlines() if line.startswith("|")][2:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    ours = [row for row in rows if row[5].startswith("curricle")]
    assert len(ours) == 8  # two models, two contexts, with and without the cloze form
    for row in ours:
        assert int(row[2]) >= 204  # those of high_school_us_history at least
        assert row[3] == "895 of 895"
        assert float(row[4]) <= 1e-4
