"""A worker process: reads jobs as JSON lines from standard input, answers each with one line.

It lives as long as its parent: when standard input closes, because the parent ended or was killed,
the process ends at once, so that no orphan goes on writing.
"""

import json
import os
import queue
import sys
import threading
import traceback
from typing import IO, Any

from curricle.core.errors import CurricleError, InputError
from curricle.models.jobs import run_job


def main() -> None:
    """Serve jobs until standard input closes."""
    # Whatever a library prints must not end up between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read_jobs, args=(sys.stdin, jobs), daemon=True).start()
    _warm_up()
    while True:
        answer = _answer(jobs.get())
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _read_jobs(stream: IO[str], jobs: "queue.Queue[dict[str, Any]]") -> None:
    for line in stream:
        jobs.put(json.loads(line))
    os._exit(0)


def _warm_up() -> None:
    """Import what takes seconds while the first job is still being prepared."""
    import curricle.models.training  # noqa: F401


def _answer(message: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"facts": run_job(message)}
    except InputError as error:
        parts = {"found": error.found, "expected": error.expected, "fix": error.fix}
        return {"input_error": parts}
    except CurricleError as error:
        return {"error": str(error)}
    except Exception:
        return {"error": traceback.format_exc(limit=-8)}


if __name__ == "__main__":
    main()
