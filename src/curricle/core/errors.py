"""The one error tree: what the user can mend, and everything else."""

import functools
from typing import Any


class CurricleError(Exception):
    """Base of every error this package raises on purpose."""


class InputError(CurricleError):
    """The user's input is wrong; the command line prints it as one line and exits with status 2.

    `found` names the place and what stands there, `expected` what should, `fix` what to do.
    """

    def __init__(self, found: str, *, expected: str, fix: str) -> None:
        super().__init__(found, expected, fix)
        self.found, self.expected, self.fix = found, expected, fix

    def __reduce__(self) -> tuple[Any, ...]:
        """How the error travels from the process of a shard to the one that prints it."""
        make = functools.partial(InputError, self.found, expected=self.expected, fix=self.fix)
        return make, ()

    def __str__(self) -> str:
        text = f"{self.found}, expected {self.expected}, fix: {self.fix}"
        return " ".join(text.split())


class JobError(CurricleError):
    """A job (training, scoring, evaluation) failed in its worker; carries its last log lines."""


class LostWorkerError(JobError):
    """The process at a job was killed or fell silent: no fault of the job, which may go on."""


class IntegrityError(CurricleError):
    """A stored artifact isn't what its record says: wrong size, wrong hash, unreadable record."""
