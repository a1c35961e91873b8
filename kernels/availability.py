"""What of the optional machinery is there."""

import functools
import importlib.util


@functools.cache
def has_triton() -> bool:
    """Return whether Triton is installed; without it GPUs take the plain-torch paths."""
    return importlib.util.find_spec("triton") is not None
