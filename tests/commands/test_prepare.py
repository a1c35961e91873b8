"""`curricle prepare` from a full disk to the table, and to what was dropped."""

import json
import random
import re
import string
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.small_disk import small_disk

Curricle = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.timeout(300)

# Enough for the databases, not for the artifacts.
TOO_SMALL, ENOUGH = "7m", "64m"
COLUMNS = ["recipe", "domain", "documents", "bytes", "tokens", "kept", "dropped"]


def write_corpus(path: Path) -> None:
    """Texts that hardly compress, and copies of a few others."""
    draw = random.Random(0)
    words = ["".join(draw.choices(string.ascii_lowercase, k=6)) for _ in range(20_000)]
    texts = [" ".join(draw.choices(words, k=1_000)) for _ in range(600)]
    texts += [f"There were {number % 10} horses on the road. " * 20 for number in range(300)]
    path.write_text("".join(f"{json.dumps({'text': text})}\n" for text in texts))


def test_a_full_disk_costs_a_line_and_the_same_command_goes_on(
    curricle: Curricle, tiny_study: Path, tmp_path: Path
) -> None:
    write_corpus(tmp_path / "corpus.jsonl")
    disk = tmp_path / "disk"
    disk.mkdir()
    source = "corpora={mine: {source: files, path: corpus.jsonl, domain: mine}}"
    study = (str(tiny_study), "--set", source, "--set", "store=disk/store")
    with small_disk(disk, TOO_SMALL) as is_mounted:
        if not is_mounted:
            pytest.skip("mounting a small disk takes rights")
        failed = curricle("prepare", *study)
        assert failed.returncode == 2, failed.stderr
        assert failed.stderr.count("error: ") == 1
        assert "No space left on device, expected room for the artifact" in failed.stderr
        assert "Traceback" not in failed.stderr
        assert list((disk / "store" / ".staging").iterdir()) == []

        subprocess.run(["mount", "-o", f"remount,size={ENOUGH}", str(disk)], check=True)
        prepared = curricle("prepare", *study)
        assert prepared.returncode == 0, prepared.stderr
        corpus, header, *rows = prepared.stdout.splitlines()
        assert corpus.startswith("corpus: ")
        assert header.split() == COLUMNS
        cells = [re.split(r" {2,}", row) for row in rows]
        whole, left = (
            next(row for row in cells if name in row[0] and row[1] == "all")
            for name in ("untouched", "exact-dedup")
        )
        documents, kept = int(whole[2]), int(left[2])
        assert left[5:] == [
            f"{100 * kept / documents:.0f} %",
            f"exact-duplicate {documents - kept}",
        ]

        shown = curricle("prepare", *study, "--show-dropped", "exact-dedup")
        assert shown.stdout.startswith(
            f"exact-dedup: {documents - kept} of {documents} documents dropped\n"
        )
        assert "horses on the road" in shown.stdout
        assert "kept: corpus.jsonl#" in shown.stdout
