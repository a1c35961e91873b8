"""Every Triton kernel compiles to machine code for sm_80 and sm_90; needs no GPU.

The launches are those of `benchmarks/kernel_resources.py`, which records what they take in
docs/kernels.md.
"""

import importlib
import importlib.util
import os
from pathlib import Path
from types import ModuleType

import pytest

triton = pytest.importorskip("triton")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("the interpreter replaces the compiler", allow_module_level=True)

from triton.runtime.jit import JITFunction  # noqa: E402

ROOT = Path(__file__).parents[2]
SHARED_MEMORY_LIMIT = 99 * 1024  # what sm_86 and sm_89, the tightest since sm_80, give a program


def load_script() -> ModuleType:
    path = ROOT / "benchmarks" / "kernel_resources.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load_script()
document = script.DOCUMENT.read_text("utf-8")


@pytest.mark.parametrize("capability", script.CAPABILITIES)
@pytest.mark.parametrize("index", range(len(script.LAUNCHES)))
def test_compiles(
    index: int, capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    launch = script.LAUNCHES[index]
    resources = script.measure(launch, capability)
    assert resources.cubin_bytes > 0
    assert resources.shared_bytes <= SHARED_MEMORY_LIMIT
    assert launch.spills or resources.spilled_bytes == 0
    if f"Compiled with Triton {triton.__version__}." in document:
        assert script.row(launch, capability, resources) in document.splitlines()


def test_every_kernel_is_among_the_launches() -> None:
    modules = [
        importlib.import_module(f"curricle.kernels.{path.parent.name}.triton_kernels")
        for path in (ROOT / "kernels").glob("*/triton_kernels.py")
    ]
    functions = [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, JITFunction)
    ]
    launched = {id(launch.kernel) for launch in script.LAUNCHES}
    parts = [each for each in functions if id(each) not in launched]
    for part in parts:  # of a kernel, compiled with it
        sources = [launch.kernel.src for launch in script.LAUNCHES]
        assert any(f"{part.__name__})" in source for source in sources), part.__name__
    kernels = {id(each) for each in functions} - {id(part) for part in parts}
    assert len(kernels) >= len(modules) > 0
    assert kernels == {id(launch.kernel) for launch in script.LAUNCHES}


def test_the_table_has_every_launch_and_no_other() -> None:
    table = document.partition(script.BEGIN)[2].partition(script.END)[0]
    rows = [line.split(" | ")[:3] for line in table.splitlines() if line.startswith("| `")]
    assert rows == [
        [f"| `{launch.name}`", launch.case, f"sm_{capability}"]
        for launch in script.LAUNCHES
        for capability in script.CAPABILITIES
    ]
