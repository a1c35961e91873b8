"""`curricle up`: everything a team needs, on one machine."""

import os
from pathlib import Path

import click


@click.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("curricle-platform"),
    show_default=True,
    help="Where the databases lie, and the store unless it is given.",
)
@click.option("--store", help="Where artifacts lie: a folder or s3://BUCKET/PREFIX.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--prefect-port", default=4200, show_default=True)
@click.option("--mlflow-port", default=5000, show_default=True)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=0))
@click.option("--pool", default="cpu", show_default=True, help="The work pool they serve.")
def up(
    folder: Path,
    store: str | None,
    host: str,
    prefect_port: int,
    mlflow_port: int,
    workers: int,
    pool: str,
) -> None:
    """Start Prefect's and MLflow's servers and workers, until Ctrl-C.

    PREFECT_SERVER_DATABASE_CONNECTION_URL and MLFLOW_BACKEND_STORE_URI name PostgreSQL databases to
    use instead of SQLite files. Beyond loopback both servers must ask for a password.

    Example: curricle up --store s3://bucket/curricle --workers 2
    """
    from curricle.environment import QUIET, set_defaults

    folder = folder.resolve()
    home = folder / "prefect"
    # Prefect makes its home, but no folders above it, and warns of that when it is imported.
    home.mkdir(parents=True, exist_ok=True)
    set_defaults({**QUIET, "PREFECT_HOME": str(home)})
    os.environ.pop("PREFECT_API_URL", None)  # the server to use is the one that is started here
    from curricle.flows.up import Platform, bring_up

    platform = Platform(
        folder,
        store or str(folder / "store"),
        host,
        prefect_port,
        mlflow_port,
        workers,
        pool,
    )
    bring_up(platform, click.echo)
