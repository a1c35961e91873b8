"""Every Triton kernel compiles to machine code for sm_80 and sm_90; needs no GPU."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

triton = pytest.importorskip("triton")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("the interpreter replaces the compiler", allow_module_level=True)

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from curricle.kernels.linear_cross_entropy import triton_kernels as loss_kernels  # noqa: E402
from curricle.kernels.sequence_entropy import triton_kernels as entropy_kernels  # noqa: E402

SHARED_MEMORY_LIMIT = 99 * 1024  # what sm_86 and sm_89, the tightest since sm_80, give a program
DTYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
POINTER_TYPES = {"tokens_ptr": "i32", "target_ptr": "i64", "sum_ptr": "fp64"}


class Launch(NamedTuple):
    """A kernel as it is launched: types and values of its arguments."""

    kernel: Any
    element: str  # of hidden, weight and logits
    aligned: tuple[str, ...]  # arguments that are multiples of 16
    constants: dict[str, Any]
    num_warps: int
    num_stages: int = 3

    def source(self) -> Any:
        names = self.kernel.arg_names
        types = {name: self._type(name) for name in names}
        attributes = {(names.index(name),): [["tt.divisibility", 16]] for name in self.aligned}
        return ASTSource(self.kernel, types, self.constants, attributes)

    def _type(self, name: str) -> str:
        if name in self.constants:
            return "constexpr"
        if not name.endswith("_ptr"):
            return "i32"
        default = self.element if name in ("hidden_ptr", "weight_ptr", "logits_ptr") else "fp32"
        return "*" + POINTER_TYPES.get(name, default)


def token_losses(dtype: torch.dtype, aligned: bool = True) -> Launch:
    size = dtype.itemsize
    constants = {
        "BLOCK_N": loss_kernels.BLOCK_N,
        "BLOCK_V": loss_kernels.BLOCK_V[size],
        "BLOCK_C": loss_kernels.BLOCK_C[size],
        "PRECISION": loss_kernels.precision(dtype),
    }
    names = ("hidden_ptr", "weight_ptr", "target_ptr", "stretch") + ("width",) * aligned
    return Launch(
        loss_kernels._token_losses_kernel,
        DTYPES[dtype],
        names,
        constants,
        loss_kernels.NUM_WARPS,
        loss_kernels.NUM_STAGES,
    )


def to_gradient(dtype: torch.dtype) -> Launch:
    block = loss_kernels.MAX_BLOCK_WORDS
    names = ("logits_ptr", "row_stride")
    return Launch(
        loss_kernels._to_gradient_kernel, DTYPES[dtype], names, {"BLOCK_V": block}, block // 512
    )


def log_counts(_dtype: torch.dtype) -> Launch:
    constants = {"BLOCK": entropy_kernels.BLOCK}
    names = ("tokens_ptr",)
    return Launch(
        entropy_kernels._log_counts_kernel, "i32", names, constants, entropy_kernels.NUM_WARPS
    )


def compile_for(launch: Launch, capability: int) -> Any:
    options = {"num_warps": launch.num_warps, "num_stages": launch.num_stages}
    target = GPUTarget("cuda", capability, 32)
    return triton.compile(launch.source(), target=target, options=options)


def registers_and_spills(ptx: str, folder: Path) -> tuple[int, int]:
    """Registers of a thread, and bytes of them that go through memory, as ptxas tells."""
    (folder / "kernel.ptx").write_text(ptx)
    (architecture,) = re.findall(r"^\.target (\w+)", ptx, re.MULTILINE)
    command = [triton.knobs.nvidia.ptxas.path, "-v", f"--gpu-name={architecture}", "kernel.ptx"]
    report = subprocess.run(
        [*command, "-o", "kernel.cubin"], cwd=folder, capture_output=True, text=True, check=True
    ).stderr
    registers, spills = (
        re.search(r"Used (\d+) reg", report),
        re.search(r"(\d+) bytes spill", report),
    )
    assert registers is not None
    assert spills is not None
    return int(registers[1]), int(spills[1])


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        *((token_losses, dtype) for dtype in DTYPES),
        *((to_gradient, dtype) for dtype in DTYPES),
        (log_counts, torch.int32),
    ],
)
def test_compiles(
    make: Callable[[torch.dtype], Launch],
    dtype: torch.dtype,
    capability: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    compiled = compile_for(make(dtype), capability)
    registers, spills = registers_and_spills(compiled.asm["ptx"], tmp_path)
    record_property("shared_memory_bytes", compiled.metadata.shared)
    record_property("registers", registers)
    assert compiled.asm["cubin"]
    assert compiled.metadata.shared <= SHARED_MEMORY_LIMIT
    assert spills == 0


@pytest.mark.parametrize("capability", [80, 90])
def test_compiles_for_a_width_that_is_no_multiple_of_16(
    capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    compiled = compile_for(token_losses(torch.bfloat16, aligned=False), capability)
    assert compiled.asm["cubin"]
    assert compiled.metadata.shared <= SHARED_MEMORY_LIMIT
