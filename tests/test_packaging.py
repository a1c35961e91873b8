"""A wheel built from the sdist holds the whole product and works without the checkout."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    # Without --wheel or --sdist the wheel is built from the sdist.
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_source_file(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("curricle/")}
    layers = ("flows", "tasks", "recipes", "models", "kernels", "analysis")
    expected = {
        f"curricle/{path.relative_to(ROOT).as_posix()}"
        for layer in layers
        for pattern in ("*.py", "*.yaml", "*.css", "*.js")
        for path in (ROOT / layer).rglob(pattern)
    }
    expected |= {
        path.relative_to(ROOT / "src").as_posix()
        for folder in (ROOT / "src" / "curricle", ROOT / "src" / "curricle" / "core")
        for path in folder.glob("*.py")
    }
    assert expected <= packed
    assert "curricle/recipes/catalog/quickstart.yaml" in packed


def check_installed(program: Path, folder: Path) -> None:
    assert "curricle run quickstart" in run(program, "--help", cwd=folder)
    plan = run(program, "run", "quickstart", "--dry-run", cwd=folder)
    assert "minutes to go" in plan
    assert not (folder / "curricle-store").exists()


def test_the_installed_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    """In an environment that has the dependencies but not this checkout."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=tmp_path)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path)
    # A path in a .pth file brings the packages there, but not what their own .pth files (such as
    # that of this checkout's editable install) would add.
    (Path(site.strip()) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    check_installed(environment / "bin" / "curricle", tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_brings_its_dependencies(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    pip = (environment / "bin" / "python", "-m", "pip", "install", "--quiet")
    run(*pip, "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    check_installed(environment / "bin" / "curricle", tmp_path)
