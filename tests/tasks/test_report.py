"""What the report says of a study's own state."""

from pathlib import Path

from tests.tasks.making import make
from tests.tasks.meanings import study_in

from curricle.core.store import Store
from curricle.tasks.report import REPORT, gather, report_step


def test_a_study_has_ended_once_the_report_on_what_it_has_is_there(tmp_path: Path) -> None:
    plan, store = study_in(tmp_path), Store(str(tmp_path / "store"))
    make(store, plan.ranking.steps().values())
    assert gather(plan, store).status == "unfinished"

    report = report_step(plan, store)
    make(store, [report])
    steps = sum(stage.steps for stage in gather(plan, store).progress)
    missing = sum(stage.steps - stage.done for stage in gather(plan, store).progress)
    status = f"finished without {missing} of {steps} steps"
    assert gather(plan, store).status == status
    page = (store.folder(report.artifact) / REPORT).read_text()
    assert status in page
    assert "has ended without what is missing" in page

    first = next(iter(plan.curricula.target_runs("untouched")))
    make(store, [first])
    assert gather(plan, store).status == "unfinished", "it has been taken up again"
