from pathlib import Path

import pytest

from curricle.core.errors import InputError
from curricle.core.questions import Question, write_questions
from curricle.recipes.loading import load_study
from curricle.tasks.places import (
    artifact_root,
    check_devices,
    make_places,
    placement_of,
    tracking_uri,
)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (
            "{shots: 1, subjects: [philosphy]}",
            "subject 'philosphy', expected .*such as philosophy",
        ),
        ("{shots: 2}", "philosophy: 1 dev questions, expected at least 2"),
    ],
)
def test_questions_that_cannot_be_asked_stop_a_study_at_once(
    choice: str, message: str, tiny_study: Path, tmp_path: Path
) -> None:
    questions = [
        Question("philosophy", split, 0, "Why?", ("a", "b", "c", "d"), "A")
        for split in ("dev", "test")
    ]
    write_questions(tmp_path / "mmlu", questions)
    study = load_study(
        str(tiny_study),
        [
            f"store={tmp_path / 'store'}",
            f"evaluation.mmlu={tmp_path / 'mmlu'}",
            f"evaluation.multiple_choice={choice}",
        ],
    )
    with pytest.raises(InputError, match=message):
        make_places(study)
    assert not (tmp_path / "store").exists()


def test_several_nodes_without_a_launcher_are_refused_at_once(
    tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load_study(str(tiny_study), ["hardware.nodes=2"])
    monkeypatch.delenv("CURRICLE_LAUNCHER", raising=False)
    with pytest.raises(InputError, match=r"hardware.nodes above 1, and CURRICLE_LAUNCHER is ''"):
        check_devices(study)
    monkeypatch.setenv("CURRICLE_LAUNCHER", "env")
    check_devices(study)
    assert placement_of(study).ranks == 2


def test_only_a_database_of_this_machine_keeps_its_files_here(
    tiny_study: Path, tmp_path: Path
) -> None:
    alone = load_study(str(tiny_study), [f"store={tmp_path / 'store'}"])
    assert artifact_root(alone) == str(tmp_path / "store" / "mlflow-artifacts")
    shared = load_study(str(tiny_study), ["tracking.mlflow=http://mlflow:5000"])
    assert artifact_root(shared) is None


def test_where_to_log_is_the_studys_word_or_the_environments(
    tiny_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = load_study(str(tiny_study), [f"store={tmp_path}"])
    named = load_study(str(tiny_study), ["tracking.mlflow=http://mlflow:5000"])
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(here) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(here) == "http://127.0.0.1:5000"
    assert tracking_uri(named) == "http://mlflow:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:secret@host")
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI with a user name") as refused:
        tracking_uri(here)
    assert "secret" not in str(refused.value)
