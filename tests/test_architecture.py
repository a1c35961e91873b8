"""The house's rules: who may import whom, and that a broken rule is noticed."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("flows", "tasks", "recipes", "models", "kernels", "analysis")

VIOLATIONS = {
    "recipes/planted.py": ("import prefect", "only flows and tasks know Prefect"),
    "flows/planted.py": ("import mlflow", "only tasks know MLflow"),
    "tasks/planted.py": ("import lightning", "only models know Lightning"),
    "analysis/planted.py": (
        "import curricle.kernels.sequence_entropy",
        "analysis needs neither torch nor kernels, not even indirectly",
    ),
    "src/curricle/core/planted.py": ("import torch", "core and recipes need no torch"),
    "models/planted.py": ("import pydantic", "models, kernels and core run on a bare GPU machine"),
    "kernels/sequence_entropy/planted.py": (
        "import curricle.models.decoder",
        "layers point downwards",
    ),
    "models/sideways.py": ("import curricle.recipes.study", "layers point downwards"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "lint-imports"
    environment = {"PYTHONPATH": str(folder / "src"), "PATH": ""}
    return subprocess.run(
        [str(program), "--no-cache"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in (*LAYERS, "src"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_copy_is_clean_and_every_planted_violation_is_found(copy: Path) -> None:
    clean = lint(copy)
    assert clean.returncode == 0, clean.stdout
    for name, (line, _) in VIOLATIONS.items():
        (copy / name).write_text(line + "\n")
    broken = lint(copy)
    assert broken.returncode == 1
    for _, contract in VIOLATIONS.values():
        assert f"{contract} BROKEN" in broken.stdout


def test_every_contract_has_a_planted_violation() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = {contract["name"] for contract in config["tool"]["importlinter"]["contracts"]}
    assert names == {contract for _, contract in VIOLATIONS.values()}


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_are_links_without_an_init(layer: str) -> None:
    link = ROOT / "src" / "curricle" / layer
    assert link.is_symlink()
    assert link.resolve() == ROOT / layer
    assert not (ROOT / layer / "__init__.py").exists()
