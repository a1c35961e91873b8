"""Whether a measurement of sharpness fits into memory, and what to say if it doesn't."""

import re
from pathlib import Path

import torch

from curricle.core.errors import InputError
from curricle.core.jobs import SharpnessSpec
from curricle.models.language_model import LanguageModel

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
# Arrays of the logits' size that live at once, measured: the logits, their logarithms and
# gradients, and what a backward pass through those keeps.
_LOGITS = 9
# Arrays of attention's size (heads of all layers x tokens x length) that live at once, measured:
# scores, weights, and what the graph of a second derivative keeps of both.
_ATTENTION = 8
# Vectors besides Lanczos's basis: weights and their copy, gradient, candidate.
_VECTORS = 4


def check_memory(model: LanguageModel, samples: int, length: int, settings: SharpnessSpec) -> None:
    """Raise InputError for a batch that surely doesn't fit into the CPU's memory.

    Linux promises memory that it doesn't have and then kills whoever uses it. What the layers keep
    besides attention isn't counted, so that a batch may pass and still be too large. On a GPU torch
    says so itself.
    """
    free = available_bytes()
    if model.head_weight.is_cuda or free is None:
        return
    tokens = min(settings.micro_batch_size or samples, samples) * length
    size = sum(parameter.numel() for parameter in model.parameters())
    numbers = _LOGITS * tokens * model.vocabulary_size
    numbers += _ATTENTION * tokens * length * model.attention_heads
    numbers += (_VECTORS + min(settings.max_iterations, size)) * size
    if numbers * model.head_weight.element_size() > free:
        raise too_large(samples, length, settings)


def available_bytes() -> int | None:
    """Memory that can still be had without swapping, within the container's limit if it has one.

    None where Linux doesn't say.
    """
    found = [amount for amount in (_of_machine(), _of_container()) if amount is not None]
    return min(found, default=None)


def _of_machine() -> int | None:
    text = _read(_MEMINFO)
    found = re.search(r"MemAvailable:\s*(\d+) kB", text)
    return int(found[1]) * 1024 if found else None


def _of_container() -> int | None:
    """What its control group (version 2) leaves; files that the kernel keeps count as free."""
    most, used = _read(_CGROUP / "memory.max").strip(), _read(_CGROUP / "memory.current").strip()
    if not (most.isdigit() and used.isdigit()):
        return None
    files = re.search(r"^inactive_file (\d+)$", _read(_CGROUP / "memory.stat"), re.MULTILINE)
    return max(0, int(most) - int(used) + (int(files[1]) if files else 0))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether torch failed for want of memory, be it the GPU's or the CPU's."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def too_large(samples: int, length: int, settings: SharpnessSpec) -> InputError:
    """The error that says what to lower."""
    at_once = min(settings.micro_batch_size or samples, samples)
    return InputError(
        f"sharpness on {at_once} x {length} tokens at once, with {settings.max_iterations} vectors "
        "of Lanczos: more than the memory holds",
        expected="micro-batches and a basis that fit",
        fix="lower micro_batch_size, which leaves the measure as it is (a product then takes half "
        "as much time again), or max_iterations",
    )
