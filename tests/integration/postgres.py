"""A PostgreSQL cluster of our own, on loopback, with a password."""

import contextlib
import os
import pwd
import subprocess
from pathlib import Path

from tests.integration.parts import Part

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
DATABASES = ("prefect", "mlflow")


def make_cluster(folder: Path, port: int, password: str) -> None:
    """A cluster in `folder` of role `curricle`, with Prefect's and MLflow's databases."""
    assert BINARIES is not None
    folder.mkdir()
    password_file = folder / "password"
    password_file.write_text(password)
    if (user := _user()) is not None:
        for path in (folder, password_file):
            os.chown(path, pwd.getpwnam(user).pw_uid, -1)
    make = (str(BINARIES / "initdb"), "--username=curricle", "--auth=scram-sha-256")
    options = (f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C", "--no-sync")
    data = folder / "data"
    subprocess.run([*make, *options, str(data)], check=True, user=user, capture_output=True)
    password_file.unlink()
    with (data / "postgresql.conf").open("a") as settings:
        # Killed processes lose nothing without fsync, only a machine that loses power does.
        settings.write(
            f"port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n"
            "fsync = off\n"
        )
    # The server isn't needed to make databases.
    single = (str(BINARIES / "postgres"), "--single", "-D", str(data), "postgres")
    statements = "".join(f"create database {name} owner curricle;\n" for name in DATABASES)
    subprocess.run(single, input=statements, text=True, check=True, user=user, capture_output=True)


def postgres(folder: Path, port: int) -> Part:
    """The server of a cluster."""
    assert BINARIES is not None
    command = (str(BINARIES / "postgres"), "-D", str(folder / "data"))
    asked = (str(BINARIES / "pg_isready"), "--host=127.0.0.1", f"--port={port}", "--quiet")
    return Part(
        "PostgreSQL", command, {}, lambda: not subprocess.call(asked), folder / "log", _user()
    )


def dump(port: int, database: str, password: str) -> bytes:
    """All that a database holds, as text."""
    assert BINARIES is not None
    address = ("--host=127.0.0.1", f"--port={port}", "--username=curricle")
    return subprocess.run(
        [str(BINARIES / "pg_dump"), *address, database],
        env={**os.environ, "PGPASSWORD": password},
        check=True,
        capture_output=True,
    ).stdout


def _user() -> str | None:
    """Whom it runs as: PostgreSQL refuses to be root."""
    if os.getuid() != 0:
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return "nobody"
