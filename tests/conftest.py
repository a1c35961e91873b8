import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Read by libraries at import: nothing that a test starts may phone home.
os.environ.update(
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="true",
    MLFLOW_DISABLE_TELEMETRY="true",
    HF_HUB_OFFLINE="1",
)

# Tests log where they say, and nowhere else.
os.environ.pop("MLFLOW_TRACKING_URI", None)

# What a shell starts in the background ignores Ctrl-C, and hands that down to all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

PROGRAM = Path(sys.executable).parent / "curricle"

Curricle = Callable[..., subprocess.CompletedProcess[str]]

TINY_STUDY = """\
name: tiny
store: store
corpora:
  environment:
    source: python-environment
    megabytes_per_domain: 0.06
    packages: [click, numpy, pandas, prefect, pydantic, rich, scipy, torch, mlflow, matplotlib]
tokenizer: {vocabulary_size: 400, sequence_length: 32}
recipes:
  untouched: {}
  exact-dedup: {steps: [{step: exact-dedup}]}
  low-entropy-first: {order: {by: unigram-entropy}}
  shuffled-letters: {role: bad-control, steps: [{step: shuffle-letters}]}
proxy:
  num_layers: 1
  width: 16
  num_heads: 1
  tokens: 4096
  learning_rates: [1e-3, 1e-2]
target:
  num_layers: 1
  width: 32
  num_heads: 2
  tokens: 4096
  learning_rate: 1e-2
  validate_every: 1024
  confirm: 2
scoring: {tokens: 2048, learning_rate: 1e-2}
curricula:
  learnability: {}
evaluation:
  tokens_per_domain: 512
  multiple_choice: {questions: 20, shots: 1}
  sharpness: {batch_size: 2, max_iterations: 4}
"""


@pytest.fixture
def tiny_study(tmp_path: Path) -> Path:
    """A study file that runs in seconds; its store is `store` in the working directory."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY_STUDY)
    return path


@pytest.fixture
def curricle(tmp_path: Path) -> Curricle:
    """Runs the installed command in a folder of its own."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAM), *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=240,
        )

    return run


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """A bucket of an S3 server on loopback."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir("studies")
    yield "s3://studies"
    patch.undo()
    server.stop()
