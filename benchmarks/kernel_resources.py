"""Registers, shared memory and spills of every Triton kernel, compiled ahead of time: needs no GPU.

    python benchmarks/kernel_resources.py            # writes the table in docs/kernels.md
    python benchmarks/kernel_resources.py --check    # fails if the table isn't what comes out

The compiler is the installed Triton's; another version may give other numbers.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from curricle.kernels.bigram_cross_entropy import triton_kernels as bigram
from curricle.kernels.linear_cross_entropy import triton_kernels as loss
from curricle.kernels.minhash import triton_kernels as minhash
from curricle.kernels.sequence_entropy import triton_kernels as entropy

DOCUMENT = Path(__file__).parents[1] / "docs" / "kernels.md"
BEGIN, END = "<!-- resources: begin -->", "<!-- resources: end -->"
CAPABILITIES = (80, 90)
DTYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
# Arguments of the same name have the same type in every kernel; `None` is the launch's element.
POINTERS = {
    **dict.fromkeys(("hidden_ptr", "weight_ptr", "logits_ptr")),
    **dict.fromkeys(("logsumexp_ptr", "target_logit_ptr", "grad_loss_ptr", "loss_ptr"), "fp32"),
    **dict.fromkeys(("target_ptr", "pair_ptr", "count_ptr", "hashes_ptr", "offsets_ptr"), "i64"),
    **dict.fromkeys(("multiplier_ptr", "increment_ptr"), "i64"),
    **dict.fromkeys(("sum_ptr", "prior_ptr", "total_ptr", "out_ptr"), "fp64"),
    **dict.fromkeys(("tokens_ptr", "sorted_ptr"), "i32"),
    "signature_ptr": "u32",
}


class Launch(NamedTuple):
    """A kernel as it is launched: types and values of its arguments."""

    kernel: Any
    case: str  # what sets this launch apart from the kernel's others
    constants: dict[str, Any]
    num_warps: int
    element: str = ""  # of hidden, weight and logits
    aligned: tuple[str, ...] = ()  # integers that are multiples of 16
    num_stages: int = 3
    spills: bool = False  # whether registers may spill to memory

    @property
    def name(self) -> str:
        """Operation and kernel."""
        operation = self.kernel.fn.__module__.split(".")[-2]
        return f"{operation}.{self.kernel.fn.__name__.strip('_').removesuffix('_kernel')}"

    def source(self) -> Any:
        """The kernel with its arguments' types, as the compiler wants it."""
        names = self.kernel.arg_names
        aligned = [name for name in names if name.endswith("_ptr") or name in self.aligned]
        attributes = {(names.index(name),): [["tt.divisibility", 16]] for name in aligned}
        return ASTSource(
            self.kernel, {name: self._type(name) for name in names}, self.constants, attributes
        )

    def _type(self, name: str) -> str:
        if name in self.constants:
            return "constexpr"
        return f"*{POINTERS[name] or self.element}" if name.endswith("_ptr") else "i32"


class Resources(NamedTuple):
    """What one thread, or one program, takes of a multiprocessor."""

    registers: int
    spilled_bytes: int
    shared_bytes: int
    cubin_bytes: int


def token_losses(dtype: torch.dtype, aligned: bool) -> Launch:
    """The fused product, of widths that are multiples of 16 or aren't."""
    constants = {
        "BLOCK_N": loss.BLOCK_N,
        "BLOCK_V": loss.BLOCK_V[dtype.itemsize],
        "BLOCK_C": loss.BLOCK_C[dtype.itemsize],
        "PRECISION": loss.precision(dtype),
    }
    return Launch(
        loss._token_losses_kernel,
        DTYPES[dtype] + (", width a multiple of 16" if aligned else ", any width"),
        constants,
        loss.NUM_WARPS,
        DTYPES[dtype],
        ("stretch", *(["width"] if aligned else [])),
        loss.NUM_STAGES,
        spills=not aligned,
    )


def to_gradient(dtype: torch.dtype) -> Launch:
    """The pass over the logits, of a vocabulary of 8,192 and more."""
    block, name = loss.MAX_BLOCK_WORDS, DTYPES[dtype]
    constants = {"BLOCK_V": block}
    return Launch(loss._to_gradient_kernel, name, constants, block // 512, name, ("row_stride",))


LAUNCHES = [
    *(token_losses(dtype, aligned=True) for dtype in DTYPES),
    *(token_losses(dtype, aligned=False) for dtype in DTYPES),
    *(to_gradient(dtype) for dtype in DTYPES),
    Launch(entropy._sort_kernel, "1,024 tokens", {"BLOCK": entropy.TOKENS_A_WARP}, 1),
    Launch(
        entropy._weighed_runs_kernel, "int32", {"BLOCK": entropy.RUNS_BLOCK}, entropy.RUNS_WARPS
    ),
    Launch(bigram._cross_entropy_kernel, "int32", {"BLOCK": bigram.BLOCK}, bigram.NUM_WARPS),
    Launch(
        minhash._signatures_kernel,
        "uint64",
        {"BLOCK_S": minhash.BLOCK_S, "BLOCK_P": minhash.BLOCK_P},
        minhash.NUM_WARPS,
    ),
]


def measure(launch: Launch, capability: int) -> Resources:
    """Compile one kernel to machine code, and read what it takes."""
    options = {"num_warps": launch.num_warps, "num_stages": launch.num_stages}
    target = GPUTarget("cuda", capability, 32)
    compiled = triton.compile(launch.source(), target=target, options=options)
    registers, spilled = _registers_and_spills(compiled.asm["ptx"])
    return Resources(registers, spilled, compiled.metadata.shared, len(compiled.asm["cubin"]))


def _registers_and_spills(ptx: str) -> tuple[int, int]:
    """Registers of a thread, and bytes of them that go through memory, as ptxas tells."""
    (architecture,) = re.findall(r"^\.target (\w+)", ptx, re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "kernel.ptx").write_text(ptx, "utf-8")
        report = subprocess.run(
            [triton.knobs.nvidia.ptxas.path, "-v", f"--gpu-name={architecture}", "kernel.ptx"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stderr
    (registers,) = re.findall(r"Used (\d+) reg", report)
    (spilled,) = re.findall(r"(\d+) bytes spill stores", report)
    return int(registers), int(spilled)


def row(launch: Launch, capability: int, resources: Resources) -> str:
    """One line of the table."""
    found = (resources.registers, resources.spilled_bytes, resources.shared_bytes)
    numbers = " | ".join(f"{value:,}" for value in found)
    return f"| `{launch.name}` | {launch.case} | sm_{capability} | {launch.num_warps} | {numbers} |"


def section() -> str:
    """The table of all kernels, with the compiler's version."""
    rows = [
        row(launch, capability, measure(launch, capability))
        for launch in LAUNCHES
        for capability in CAPABILITIES
    ]
    lines = [
        BEGIN,
        f"Compiled with Triton {triton.__version__}.",
        "",
        "| kernel | case | GPU | warps | registers a thread | bytes spilled | bytes shared |",
        "|---|---|---|---|---|---|---|",
        *rows,
        END,
    ]
    return "\n".join(lines)


def main() -> None:
    """Write the table, or check it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    before = DOCUMENT.read_text("utf-8")
    head, _, rest = before.partition(BEGIN)
    after = head + section() + rest.partition(END)[2]
    if check and after != before:
        sys.exit(f"error: {DOCUMENT} is not what comes out, fix: run this without --check")
    if not check:
        DOCUMENT.write_text(after, "utf-8")


if __name__ == "__main__":
    main()
