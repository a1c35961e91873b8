"""Where a study's databases live, beside its artifacts."""

import hashlib
from pathlib import Path

from curricle.recipes.study import Study


def state_folder(study: Study) -> Path:
    """The folder of Prefect's and MLflow's databases: the store if it is local, else under home.

    SQLite needs a real file system, so a store on S3 keeps them on the machine that runs the study.
    """
    if "://" not in study.store:
        return Path(study.store).resolve()
    return Path.home() / ".curricle" / hashlib.sha256(study.store.encode()).hexdigest()[:16]


def tracking_uri(study: Study) -> str:
    """MLflow's address for this study: the one it names, or a SQLite file."""
    return study.tracking.mlflow or f"sqlite:///{state_folder(study) / 'mlflow.db'}"
