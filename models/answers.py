"""What a worker process answers: a job's facts or its error, as JSON values, and back."""

import errno
import traceback
from collections.abc import Mapping
from typing import Any

from curricle.core.errors import CurricleError, InputError, JobError, LostWorkerError
from curricle.models.interruption import InterruptedJobError
from curricle.models.jobs import run_job

# What a worker's line has that isn't the answer yet: the job's seconds without progress.
STILL = "still_seconds"
# The answer of a job that ended by no fault of its own.
LOST = "lost"


def answer(message: Mapping[str, Any]) -> dict[str, Any]:
    """Run the job of a message; whatever it raises becomes part of the answer."""
    try:
        return {"facts": run_job(message)}
    except InputError as error:
        parts = {"found": error.found, "expected": error.expected, "fix": error.fix}
        return {"input_error": parts}
    except InterruptedJobError as error:
        return {LOST: str(error)}
    except CurricleError as error:
        return {"error": str(error)}
    except Exception as error:
        if _is_disk_full(error):
            return {"error": f"no space left for {message['output']}: free some and run again"}
        if _is_lost_connection(error):
            return {LOST: f"the connection to another rank is lost: {error}"}
        if _is_lost_device(error):
            return {LOST: _story(error)}
        return {"error": _story(error)}


def facts_of(reply: Mapping[str, Any]) -> dict[str, Any]:
    """The facts in an answer. Raises InputError, JobError or LostWorkerError if it holds one."""
    if "input_error" in reply:
        parts = reply["input_error"]
        raise InputError(parts["found"], expected=parts["expected"], fix=parts["fix"])
    if "error" in reply:
        raise JobError(reply["error"])
    if LOST in reply:
        raise LostWorkerError(reply[LOST])
    return dict(reply["facts"])


def _story(error: Exception) -> str:
    """Where it was raised; the last line, all that a study's summary shows, says what it is.

    CUDA's errors say it first and end with advice, the same for each of them.
    """
    story = traceback.format_exc(limit=-8).rstrip()
    first, newline, _ = str(error).partition("\n")
    return f"{story}\n{type(error).__name__}: {first}" if newline else story


def _is_disk_full(error: Exception) -> bool:
    """Also safetensors', which knows no error numbers."""
    return getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)


def _is_lost_connection(error: Exception) -> bool:
    """Whether it tells of another rank's end; gloo has no class of errors of its own."""
    from torch.distributed import DistError

    is_gloo = isinstance(error, RuntimeError) and "/gloo/" in str(error)
    return is_gloo or isinstance(error, DistError)


def _is_lost_device(error: Exception) -> bool:
    """Whether the device itself failed: a process's later calls may fail then as well.

    Want of memory is an error of another class: it passes.
    """
    from torch import AcceleratorError

    return isinstance(error, AcceleratorError)
