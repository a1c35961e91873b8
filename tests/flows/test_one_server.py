"""A study has one Prefect server, however many processes work on its shards."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.flows.loopback import prefect_servers

PROGRAM = Path(sys.executable).parent / "curricle"
STUDY = """\
name: shards
store: store
corpora: {texts: {source: files, path: texts, domain: made-up}}
tokenizer: {vocabulary_size: 300, sequence_length: 32}
recipes:
  untouched: {}
  dedup: {steps: [{step: exact-dedup}]}
proxy: {num_layers: 1, width: 16, num_heads: 1, tokens: 4096, learning_rates: [1e-3]}
target: {num_layers: 1, width: 16, num_heads: 1, tokens: 4096, learning_rate: 1e-3, confirm: 2}
scoring: {tokens: 2048, learning_rate: 1e-2}
evaluation: {tokens_per_domain: 512, multiple_choice: null, sharpness: null}
preparation: {workers: 2}
"""
MEGABYTES = 20  # more than one shard


@pytest.mark.slow
def test_processes_that_work_on_shards_start_no_server(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=5)) for _ in range(500)]
    with (tmp_path / "texts" / "all.jsonl").open("w") as stream:
        for _ in range(MEGABYTES * 1000):
            stream.write(json.dumps({"text": " ".join(draw.choices(words, k=170))}) + "\n")
    (tmp_path / "study.yaml").write_text(STUDY)
    process = subprocess.Popen([str(PROGRAM), "prepare", "study.yaml"], cwd=tmp_path)
    seen = set[str]()
    while process.poll() is None:
        seen.update(prefect_servers(tmp_path))
        time.sleep(0.2)
    assert process.returncode == 0
    assert len(seen) == 1
