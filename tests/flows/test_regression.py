"""The nightly run: from nothing each time, and compared with the time before."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import json, sys
from pathlib import Path
from curricle.environment import configure
study, folder, *overrides = sys.argv[1:]
configure(Path(folder))
from curricle.flows.regression import regression
state = regression(study, overrides, return_state=True)
print(json.dumps([state.type.value, state.name, state.message]))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_study_that_finds_something_else_has_changed(tiny_study: Path, tmp_path: Path) -> None:
    def night(*overrides: str) -> tuple[str, str, str]:
        given = [f"store={tmp_path / 'store'}", "proxy.seeds=3", *overrides]
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(tiny_study), str(tmp_path), *given],
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stderr
        kind, name, message = json.loads(done.stdout.splitlines()[-1])
        return kind, name, message

    assert night() == (
        "COMPLETED",
        "Completed",
        "the first run: the next one is compared with it",
    )
    kind, name, message = night()
    assert (kind, name) == ("COMPLETED", "Completed")
    assert message.endswith("results are those of the run before, to the last digit")
    kind, name, message = night("proxy.batch_size=2")
    assert (kind, name) == ("FAILED", "Changed")
    stores = list((tmp_path / "store" / ".regression" / "tiny").glob("*/checkpoint"))
    assert len(stores) == 2
