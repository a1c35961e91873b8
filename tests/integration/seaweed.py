"""An S3 server of our own: SeaweedFS, on loopback, with keys."""

import functools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.integration.parts import Part, listens

SERVER = Path(sys.executable).parent / "weed"
PORTS = (
    *("s3.port", "s3.port.grpc", "master.port", "master.port.grpc"),
    *("volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
)


def seaweed(folder: Path, ports: Sequence[int], key: str, secret: str) -> Part:
    """The server, which keeps all in `folder` and listens on eight `ports`, S3 on the first."""
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": key, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    command = (
        *(str(SERVER), "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *("-filer", "-s3", f"-s3.config={folder / 's3.json'}", "-master.telemetry=false"),
        # Its catalogs would listen on fixed ports, which a second server can't have.
        *("-master.volumeSizeLimitMB=64", "-volume.max=20"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        *(f"-{name}={port}" for name, port in zip(PORTS, ports, strict=True)),
    )
    is_up = functools.partial(listens, f"http://127.0.0.1:{ports[0]}")
    return Part("S3", command, {}, is_up, folder / "log")
