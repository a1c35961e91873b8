"""The page that a study keeps of itself while it runs."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
from tests.ladders import LADDER
from tests.recipes.made_up import prose
from tests.tasks.making import make

from curricle.core.store import Store
from curricle.recipes.loading import load_any
from curricle.tasks import page as page_module
from curricle.tasks.page import StudyPage
from curricle.tasks.plans import plan_of
from curricle.tasks.tracking import Tracker


class Logged(list[dict[str, Any]]):
    """A tracker that keeps what it is given."""

    def log_study(self, values: dict[str, float], texts: dict[str, Any]) -> None:
        assert not values
        self.append(texts)


def page_over(study: Path, store: Store, *overrides: str) -> tuple[Any, Logged, StudyPage]:
    plan, logged = plan_of(load_any(str(study), overrides)), Logged()
    return plan, logged, StudyPage(plan, store, cast("Tracker", logged))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def test_it_tells_what_is_there_and_what_isnt(
    tiny_study: Path, tmp_path: Path, store: Store
) -> None:
    texts = "".join(json.dumps({"text": prose(seed, 150)}) + "\n" for seed in range(40))
    (tmp_path / "corpus.jsonl").write_text(texts)
    corpus = f"corpora={{mine: {{source: files, path: {tmp_path / 'corpus.jsonl'}, domain: mine}}}}"
    settings = (corpus, "evaluation.multiple_choice=null")
    plan, logged, page = page_over(tiny_study, store, *settings)
    page.write()
    address = store.page("tiny")
    assert address is not None
    before = Path(address).read_text()
    assert "under way" in before
    assert "read corpus" in before
    make(store, plan.preparation.steps)
    page.step_made()
    assert Path(address).read_text() == before, "a minute hasn't passed"
    page.write()
    after = Path(address).read_text()
    assert "read corpus" not in after
    assert "train proxy untouched" in after
    assert [texts["report.html"] for texts in logged] == [before, after]
    page.write()
    assert len(logged) == 2, "nothing new"


def test_it_is_written_between_stages_when_it_is_due(
    tiny_study: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "SECONDS_BETWEEN", 0.0)
    _, logged, page = page_over(tiny_study, store)
    page.step_made()
    page.step_made()
    assert len(logged) == 1, "fifty times what it took has to pass"


def test_a_page_that_cant_be_written_stops_nothing_and_is_told(
    tiny_study: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, page = page_over(tiny_study, store)

    def fail(*_: object) -> str:
        raise ZeroDivisionError("in a figure")

    monkeypatch.setattr(page_module, "report_of", fail)
    page.write()
    assert page.problem == "ZeroDivisionError: in a figure"
    monkeypatch.undo()
    page.write()
    assert page.problem is None
    assert store.page("tiny")


def test_a_ladder_has_none_before_its_first_run(tmp_path: Path, store: Store) -> None:
    (tmp_path / "ladder.yaml").write_text(LADDER)
    _, logged, page = page_over(tmp_path / "ladder.yaml", store)
    page.write()
    assert (logged, page.problem, store.page("tiny-ladder")) == ([], None, None)
