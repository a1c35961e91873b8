import base64
import functools
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs made-up distributions; only these are found by the test."""
    sites: list[Path] = []
    real = importlib.metadata.distributions

    def write(
        name: str,
        files: Mapping[str, str | bytes],
        *,
        version: str = "1.0",
        site: str = "site-packages",
        description: str = "",
        editable: bool = False,
        first: bool = False,
    ) -> Path:
        folder = tmp_path / site
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n{description}"
        contents = {f"{info}/METADATA": metadata, **files}
        lines = [_write(folder, path, content) for path, content in contents.items()]
        lines += [f"{info}/RECORD,,", f"{name}/__pycache__/x.cpython-311.pyc,,"]
        (folder / info / "RECORD").write_text("\n".join(lines))
        if editable:
            origin = {"url": "file:///x", "dir_info": {"editable": True}}
            (folder / info / "direct_url.json").write_text(json.dumps(origin))
        if folder not in sites:
            sites.insert(0 if first else len(sites), folder)
        path = [str(one) for one in sites]
        monkeypatch.setattr(importlib.metadata, "distributions", functools.partial(real, path=path))
        return folder

    return write


def _write(folder: Path, path: str, content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f'"{path}",sha256={digest},{len(data)}'
