"""What a record says about where an artifact came from: code, package versions, device."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = (
    "curricle",
    "torch",
    "triton",
    "lightning",
    "numpy",
    "pyarrow",
    "tokenizers",
    "prefect",
    "mlflow",
)


@functools.cache
def code_version() -> dict[str, Any]:
    """Version of curricle and, in a git checkout, its commit and whether files differ from it."""
    version: dict[str, Any] = {"version": _version("curricle")}
    root = Path(__file__).resolve().parents[3]
    if (root / ".git").exists():
        version["commit"] = _git(root, "rev-parse", "HEAD")
        version["dirty"] = bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    return version


@functools.cache
def package_versions() -> dict[str, str]:
    """Installed versions of the packages that can change a result."""
    return {name: version for name in PACKAGES if (version := _version(name))}


@functools.cache
def device_description() -> dict[str, Any]:
    """The machine: processor architecture, cores visible to this process, operating system."""
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
