"""Tables and texts of a flow run's page, while Prefect's server is away."""

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from curricle.flows import artifacts


class Server:
    """Refuses the first `refusals` requests."""

    def __init__(self, refusals: int, error: Exception) -> None:
        self.refusals, self.error, self.asked = refusals, error, 0
        self.made: list[tuple[str, str]] = []
        self.warnings: list[str] = []

    def create(self, content: str, *, key: str, **_: str) -> None:
        self.asked += 1
        if self.asked <= self.refusals:
            raise self.error
        self.made.append((key, content))

    def warning(self, message: str, *values: object) -> None:
        self.warnings.append(message % values)


def install(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(artifacts, "create_markdown_artifact", server.create)
    monkeypatch.setattr(artifacts, "get_run_logger", lambda: server)
    monkeypatch.setattr(artifacts, "PAUSE_SECONDS", 0.01)
    return server


def refused(status: int) -> PrefectHTTPStatusError:
    request = httpx.Request("POST", "http://127.0.0.1/api/artifacts/")
    response = httpx.Response(status, request=request)
    return PrefectHTTPStatusError("no", request=request, response=response)


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), refused(500)])
def test_a_server_that_comes_back_gets_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = install(Server(3, error), monkeypatch)
    artifacts.show_text("My study", "summary", "text", "Findings")
    assert server.made == [("my-study-summary", "```\ntext\n```")]
    assert server.warnings == []


def test_a_server_that_stays_away_costs_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    server = install(Server(10**6, httpx.ConnectError("refused")), monkeypatch)
    monkeypatch.setattr(artifacts, "PATIENCE_SECONDS", 0.05)
    artifacts.show_text("study", "summary", "text", "Findings")
    assert server.warnings == ["Prefect's page lacks the summary: refused"]


def test_what_the_server_rejects_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    install(Server(1, refused(422)), monkeypatch)
    with pytest.raises(PrefectHTTPStatusError):
        artifacts.show_text("study", "summary", "text", "Findings")
