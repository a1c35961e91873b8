"""Texts that break what isn't careful: each step takes them, in linear time and bounded memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.recipes.made_up import apply, prose, step_of, table_of
from tests.recipes.steps.test_steps import NAMES, STEPS

from curricle.core.errors import InputError

ODD = {
    "empty": "",
    "blank": " \n\t\n",
    "nul": "\0",
    "nuls": f"a\0b \0 {prose(1)}\0",
    "astral": "😀𝐀 𐐀. " * 20,
    "marks": "().,;:…--''\"\"[]{}" * 50,
    "newlines": "\n" * 500,
    "one-word": "x" * 5000,
    "dots": "." * 5000,
    "right-to-left": "שלום עולם. " * 30,
    "good": prose(2, 100),
}


@pytest.mark.parametrize("settings", STEPS, ids=NAMES)
def test_odd_texts_are_kept_or_dropped_and_never_break_a_step(settings: dict[str, Any]) -> None:
    documents = table_of(ODD)
    try:
        applied = apply(step_of(**settings), documents)
    except InputError:
        return
    dropped = {example.id for example in applied.dropped}
    assert dropped | set(applied.ids) >= set(ODD)
    assert not dropped & set(applied.ids)


@pytest.mark.slow
@pytest.mark.parametrize("settings", STEPS, ids=NAMES)
def test_a_million_documents_of_one_character(settings: dict[str, Any]) -> None:
    count = 1_000_000
    texts = [chr(97 + number % 26) for number in range(count)]
    documents = pa.table(
        {
            "id": [f"{number:07}" for number in range(count)],
            "text": texts,
            "domain": ["x"] * count,
            "source": ["x"] * count,
        }
    )
    try:
        applied = apply(step_of(**settings), documents)
    except InputError:
        return
    assert applied.account["seen"] == count


HUGE = """
import resource, sys, time
sys.path.insert(0, sys.argv[1])
import json
from tests.recipes.made_up import apply, step_of, table_of
settings, megabytes = json.loads(sys.argv[2]), int(sys.argv[3])
line = "The quick brown fox and the lazy dog have {} of {} things to do. "
text = "".join(line.format(n, n * 7 % 1000) + "\\n" * (n % 3 == 0) for n in range(20_000))
text = (text * (megabytes * 1_000_000 // len(text) + 1))[: megabytes * 1_000_000]
documents = table_of({"huge": text, "other": line * 30})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
try:
    apply(step_of(**settings), documents)
except Exception as error:
    assert "drops all" in str(error), error
seconds = time.perf_counter() - start
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "megabytes": (after - before) / 1024}))
"""


def megabytes_for_a_huge_document(settings: dict[str, Any], megabytes: int) -> float:
    """Growth of a fresh process that applies a step to one document of that size."""
    root = str(Path(__file__).parents[3])
    result = subprocess.run(
        [sys.executable, "-c", HUGE, root, json.dumps(settings), str(megabytes)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return float(json.loads(result.stdout)["megabytes"])


@pytest.mark.slow
@pytest.mark.parametrize("settings", STEPS, ids=NAMES)
def test_memory_for_a_large_document_is_a_multiple_of_it(settings: dict[str, Any]) -> None:
    # Repeated n-grams and the permutation of words keep several numbers for every word.
    assert megabytes_for_a_huge_document(settings, 20) < 35 * 20


@pytest.mark.slow
@pytest.mark.parametrize("step", ["minhash-dedup", "gopher-quality", "c4", "line-dedup"])
def test_a_document_of_200_megabytes(step: str) -> None:
    assert megabytes_for_a_huge_document({"step": step}, 200) < 20 * 200
