"""Environment variables that the servers and libraries read when they are first imported."""

import os
from collections.abc import Mapping
from pathlib import Path

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "PREFECT_CLI_PROMPT": "false",
    # What fails is told once, by us; Prefect's page has the whole traceback.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}
LOCAL = {
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "PREFECT_LOGGING_SERVER_LEVEL": "CRITICAL",
}


def configure(state: Path) -> None:
    """Keep Prefect's database in `state`, send nothing home, and keep the terminal for our output.

    Must run before Prefect or MLflow are imported. With `PREFECT_API_URL` in the environment the
    flows report to that server, and only the silence is ours.
    """
    set_defaults(QUIET)
    if "PREFECT_API_URL" not in os.environ:
        set_defaults({"PREFECT_HOME": str(state / "prefect"), **LOCAL})


def set_defaults(variables: Mapping[str, str]) -> None:
    """Set those variables that the environment doesn't have."""
    for key, value in variables.items():
        os.environ.setdefault(key, value)
