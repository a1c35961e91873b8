"""Where a study's databases live, beside its artifacts, and where its jobs run."""

import hashlib
import os
from pathlib import Path

from curricle.core.errors import InputError
from curricle.core.questions import read_questions, select, split_shots
from curricle.core.store import Store
from curricle.models.launcher import launcher
from curricle.models.placement import Placement
from curricle.recipes.corpus import corpus_identity
from curricle.recipes.loading import AnyStudy
from curricle.recipes.study import Study, names_a_user


def state_folder(study: AnyStudy) -> Path:
    """The folder of Prefect's and MLflow's databases: the store if it is local, else under home.

    SQLite needs a real file system, so a store on S3 keeps them on the machine that runs the study.
    """
    if "://" not in study.store:
        return Path(study.store).expanduser().resolve()
    return Path.home() / ".curricle" / hashlib.sha256(study.store.encode()).hexdigest()[:16]


def make_places(study: AnyStudy) -> Path:
    """Make the store and the databases' folder, and return the latter.

    Looks at the sources first, so that a missing one leaves nothing behind. Raises InputError for
    a missing source, a question set that can't be used, and a store that can't be written.
    """
    corpus_identity(study.corpora)
    if isinstance(study, Study) and study.evaluation.mmlu and study.evaluation.multiple_choice:
        asked = study.evaluation.multiple_choice
        questions = read_questions(Path(study.evaluation.mmlu))
        split_shots(select(questions, asked.subjects), asked.shots)
    Store(study.store)
    folder = state_folder(study)
    (folder / "prefect").mkdir(parents=True, exist_ok=True)
    return folder


def tracking_uri(study: AnyStudy) -> str:
    """MLflow's address for this study: the one it names, or the environment, or a SQLite file.

    Raises InputError for an address with a user name, which pages would show.
    """
    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not study.tracking.mlflow and names_a_user(given):
        raise InputError(
            "MLFLOW_TRACKING_URI with a user name in it",
            expected="an address alone",
            fix="use MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )
    own = f"sqlite:///{state_folder(study) / 'mlflow.db'}"
    return study.tracking.mlflow or given or own


def artifact_root(study: AnyStudy) -> str | None:
    """Where MLflow keeps this study's files; None: where its server wants them.

    A folder of this machine's would be none of the server's.
    """
    if tracking_uri(study).startswith("http"):
        return None
    return str(state_folder(study) / "mlflow-artifacts")


def placement_of(study: AnyStudy) -> Placement:
    """Where the study's jobs run."""
    return Placement(**study.hardware.model_dump(exclude={"workers"}))


def check_devices(study: AnyStudy) -> None:
    """Raise InputError if the study asks for CUDA devices or nodes that aren't there."""
    if study.hardware.nodes > 1:
        launcher()
    if study.hardware.accelerator == "cuda":
        placement_of(study).device  # noqa: B018 - it is looked up for its error
