"""What `curricle status` says while a study runs."""

from pathlib import Path

from curricle.core.store import Store
from curricle.recipes.loading import load_study
from curricle.tasks.overview import overview, render_overview
from curricle.tasks.plan import StudyPlan


def test_what_somebody_builds_is_told_from_what_comes_next(
    tiny_study: Path, tmp_path: Path
) -> None:
    plan = StudyPlan(load_study(str(tiny_study), [f"store={tmp_path / 'store'}"]))
    store = Store(plan.study.store)
    corpus = plan.preparation.corpus
    named = f"{corpus.verb} {corpus.label}"

    def told(beginning: str) -> str:
        lines = render_overview(plan.study, overview(plan.study)).splitlines()
        return next((line for line in lines if line.startswith(beginning)), "")

    with store.claim(corpus.artifact.fingerprint):
        assert told("running: ") == f"running: {named}"
        assert named not in told("next: ")
    assert told("running: ") == ""
    assert named in told("next: ")
