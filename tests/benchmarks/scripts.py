"""The benchmarks as modules, for tests of what they compute."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def loaded(name: str) -> ModuleType:
    """A script of `benchmarks/` as a module; its folder isn't on the path, lest layers be."""
    path = Path(__file__).parents[2] / "benchmarks" / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module
