"""What the page of a flow run shows besides its tasks: tables, texts and links.

Prefect's own functions give up at once if the server is away, for instance because it is restarted;
a study isn't to fail of that.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.exceptions import PrefectHTTPStatusError
from prefect.logging import get_run_logger

PATIENCE_SECONDS = 240.0
PAUSE_SECONDS = 2.0
SERVER_ERROR = 500


def show_table(study: str, what: str, rows: list[dict[str, Any]], description: str) -> None:
    """Show rows of a table under a key of the study's."""
    key = artifact_key(study, what)
    _patiently(what, lambda: create_table_artifact(rows, key=key, description=description))


def show_text(study: str, what: str, text: str, description: str) -> None:
    """Show plain text under a key of the study's."""
    key, fenced = artifact_key(study, what), f"```\n{text}\n```"
    _patiently(what, lambda: create_markdown_artifact(fenced, key=key, description=description))


def show_link(study: str, what: str, address: str, text: str) -> None:
    """Show a link under a key of the study's."""
    key = artifact_key(study, what)
    create = partial(create_link_artifact, address, link_text=text, key=key, description=text)
    _patiently(what, create)


def artifact_key(study: str, what: str) -> str:
    """A key as Prefect wants it for an artifact of a study: lower-case letters, digits, dashes."""
    name = "".join(letter if letter.isalnum() else "-" for letter in study.lower())
    return f"{name}-{what}"


def _patiently(what: str, create: Callable[[], object]) -> None:
    """Create it when the server answers; if that takes too long, say so and go on."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            create()
            return
        except (httpx.TransportError, PrefectHTTPStatusError) as error:
            if _is_a_refusal(error):
                raise
            if time.monotonic() > deadline:
                get_run_logger().warning("Prefect's page lacks the %s: %s", what, error)
                return
        time.sleep(PAUSE_SECONDS)


def _is_a_refusal(error: httpx.TransportError | PrefectHTTPStatusError) -> bool:
    """Whether the server is there, and doesn't want what it was sent."""
    return isinstance(error, PrefectHTTPStatusError) and error.response.status_code < SERVER_ERROR
