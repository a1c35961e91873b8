from datetime import timedelta
from pathlib import Path

import pytest

from curricle.core.errors import InputError
from curricle.core.store import Artifact, Request, Store
from curricle.recipes.loading import load_study
from curricle.tasks.plan import StudyPlan
from curricle.tasks.registry import collect, find_garbage, register, registered

NOW = timedelta(0)


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}")


def made(store: Store, name: str, inputs: dict[str, Artifact] | None = None) -> Artifact:
    def build(folder: Path) -> None:
        (folder / "data").write_bytes(bytes(100))

    return store.produce(Request("order", name, {"name": name}, inputs or {}), build)


def noted(store: Store, study: str, *artifacts: Artifact) -> None:
    keys = ", ".join(f'"{artifact.key}"' for artifact in artifacts)
    store.write_note(study, f'{{"artifacts": [{keys}]}}')


def test_what_no_study_leads_to_is_garbage(store: Store) -> None:
    source = made(store, "source")
    kept = made(store, "kept", {"from": source})
    loose = made(store, "loose", {"from": source})
    noted(store, "mine", kept)
    garbage = find_garbage(store, NOW)
    assert dict(garbage.artifacts) == {loose: 100}
    assert (garbage.kept, garbage.young, garbage.studies) == (2, 0, ("mine",))
    collect(store, garbage)
    assert set(store.artifacts()) == {source, kept}
    assert not store.files.exists(f"{store.base}/{loose.key}")
    assert not find_garbage(store, NOW).artifacts


def test_what_is_young_is_left(store: Store) -> None:
    made(store, "loose")
    garbage = find_garbage(store, timedelta(hours=1))
    assert not garbage.artifacts
    assert garbage.young == 1


def test_what_another_study_needs_too_survives_its_being_forgotten(store: Store) -> None:
    shared, alone = made(store, "shared"), made(store, "alone")
    noted(store, "first", shared, alone)
    store.write_page("first", "<p>of the first")
    noted(store, "second", shared)
    garbage = find_garbage(store, NOW, ["first"])
    assert list(garbage.artifacts) == [alone]
    assert str(store.page("first")).endswith("/.studies/first.html")
    assert set(registered(store)) == {"first", "second"}, "looking changes nothing"
    collect(store, garbage)
    assert set(registered(store)) == {"second"}
    assert store.page("first") is None
    with pytest.raises(InputError, match="study 'first', expected one that .*: second"):
        find_garbage(store, NOW, ["first"])


def test_unfinished_work_on_what_nobody_needs_goes(store: Store) -> None:
    needed, abandoned = (Artifact("checkpoint", name, "0" * 16) for name in ("needed", "abandoned"))
    for artifact in (needed, abandoned):
        place = f"{store.base}/.unfinished/{artifact.key}"
        store.files.makedirs(place)
        store.files.pipe_file(f"{place}/snapshot", b"state")
    noted(store, "mine", needed)
    garbage = find_garbage(store, NOW)
    assert garbage.unfinished == (abandoned,)
    collect(store, garbage)
    assert store.unfinished_artifacts() == [needed]


def test_a_study_notes_everything_it_will_make(store: Store, tiny_study: Path) -> None:
    plan = StudyPlan(load_study(str(tiny_study)))
    register(plan, store)
    keys = registered(store)["tiny"]
    assert {run.artifact.key for run in plan.ranking.runs()} <= keys
    assert plan.ranking.steps()[1e-3].artifact.key in keys
    assert plan.preparation.corpus.artifact.key in keys
