"""Lightning Fabric for a placement, and how fast its devices could be."""

import contextlib
import functools
import os
import time
from collections.abc import Iterator
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies.model_parallel import ModelParallelStrategy
from lightning.fabric.strategies.strategy import Strategy
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

from curricle.core.errors import InputError
from curricle.kernels.onednn import exact_onednn
from curricle.models.placement import Placement

# Without it cuBLAS may choose another algorithm, and torch refuses its products.
CUBLAS_WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}

# Dense bf16 and fp32 (TF32 off) operations a second, from the vendors' data sheets.
_PEAKS = {
    "H200": {"bf16": 989e12, "fp32": 67e12},
    "H100": {"bf16": 989e12, "fp32": 67e12},
    "A100": {"bf16": 312e12, "fp32": 19.5e12},
    "L40S": {"bf16": 362e12, "fp32": 91.6e12},
    "L4": {"bf16": 121e12, "fp32": 30.3e12},
}
_PROBE_WIDTH, _PROBES = 512, 5


def make_fabric(placement: Placement, precision: str) -> Fabric:
    """Fabric over the placement's devices; several are expected to be started by torchrun.

    Raises InputError for an unknown precision or missing devices.
    """
    if precision not in PRECISIONS:
        raise InputError(
            f"precision {precision!r}", expected=f"one of {tuple(PRECISIONS)}", fix="choose one"
        )
    strategy: str | Strategy = "auto" if placement.ranks == 1 else placement.strategy
    if strategy == "fsdp":
        strategy = ModelParallelStrategy(
            _shard, data_parallel_size=placement.ranks, tensor_parallel_size=1
        )
    settings: Any = {"precision": PRECISIONS[precision], "strategy": strategy}
    settings |= {"devices": placement.devices, "num_nodes": placement.nodes}
    fabric = Fabric(accelerator=placement.resolved, **settings)
    if placement.ranks > 1:
        fabric.launch()
    return fabric


@contextlib.contextmanager
def training_kernels(device: str) -> Iterator[None]:
    """Let torch choose the kernels that training needs on a `cpu` or on `cuda`.

    On a CPU the fast ones for fp32 products. On CUDA those that sum in the same order each time, to
    the same bits, which those of its attention don't otherwise.
    """
    if device == "cpu":
        with exact_onednn():
            yield
        return
    os.environ.setdefault(*CUBLAS_WORKSPACE)
    before = torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled, memory.fill_uninitialized_memory = memory.fill_uninitialized_memory, False
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        memory.fill_uninitialized_memory = filled


def _shard(model: nn.Module, mesh: Any) -> nn.Module:
    """FSDP2, a unit a block; Lightning's own FSDP strategy refuses CPUs."""
    blocks: Any = model.blocks
    for block in blocks:
        fully_shard(block, mesh=mesh["data_parallel"])
    sharded: Any = fully_shard(model, mesh=mesh["data_parallel"])
    assert isinstance(sharded, nn.Module)
    register_fsdp_forward_method(sharded, "token_losses")
    return sharded


def reshard(model: nn.Module) -> None:
    """Drop what a forward pass without a backward one has left gathered of a sharded model."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def reduce_over_ranks(fabric: Fabric, tensor: Tensor, operation: str) -> Tensor:
    """The `mean` or `sum` of `tensor` over all ranks, on each of them."""
    reduced = fabric.all_reduce(tensor, reduce_op=operation)
    assert isinstance(reduced, Tensor)
    return reduced


def any_rank(fabric: Fabric, *flags: bool) -> list[bool]:
    """Each flag, raised if it is on any rank: all ranks have to do the same thing."""
    if fabric.world_size == 1:
        return list(flags)
    raised = torch.tensor(flags, dtype=torch.float32, device=fabric.device)
    return [count > 0 for count in reduce_over_ranks(fabric, raised, "sum").tolist()]


@functools.cache
def peak_flops(device: torch.device, precision: str, threads: int) -> float | None:
    """Operations a second one device could do: a GPU's data sheet, a CPU's own matrix product.

    A CPU is measured with the `threads` that torch has now. None for a GPU that isn't in the table.
    """
    assert device.type == "cuda" or threads == torch.get_num_threads()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return next((peak[precision] for key, peak in _PEAKS.items() if key in name.split()), None)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return max(_probe(dtype) for _ in range(_PROBES))


def _probe(dtype: torch.dtype) -> float:
    square = torch.ones(_PROBE_WIDTH, _PROBE_WIDTH, dtype=dtype)
    started = time.perf_counter()
    square @ square
    return 2 * _PROBE_WIDTH**3 / (time.perf_counter() - started)
