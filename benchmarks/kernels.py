"""Time, memory and exactness of the kernels, beside what else computes the same.

    python benchmarks/kernels.py                        # on the GPU if there is one, else the CPU
    python benchmarks/kernels.py --device cpu --threads 2 --repeats 5 --shape 4096,128,50257

Implementations take turns in one process, round after round, so that a machine which slows down
slows all of them; medians are printed as Markdown tables. Memory is the peak beyond the inputs: on
a GPU what torch allocated, on a CPU the growth of a fresh process. The error is that of the worse
gradient against fp64, relative to its largest entry. Peers that aren't installed are left out.
"""

import argparse
import contextlib
import functools
import importlib
import importlib.util
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from curricle.kernels.bigram_cross_entropy import bigram_cross_entropy, fit_bigram_model
from curricle.kernels.bigram_cross_entropy import reference as bigram_reference
from curricle.kernels.linear_cross_entropy import linear_cross_entropy
from curricle.kernels.linear_cross_entropy.reference import losses_and_gradients
from curricle.kernels.minhash import minhash
from curricle.kernels.onednn import exact_onednn
from curricle.kernels.sequence_entropy import sequence_entropy

SHAPES = {"cpu": ["1024,64,4096", "1024,128,4096", "4096,128,50257"], "cuda": ["8192,768,50257"]}
SEQUENCES = {"cpu": (1024, 1024, 50257), "cuda": (65536, 1024, 50257)}
HASHES_EACH = 200
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
Functions = dict[str, Callable[[], object]]


class Implementation(NamedTuple):
    """A loss, and the setting in which forward and backward run."""

    loss: Loss
    setting: Callable[[], AbstractContextManager[None]] = nullcontext


def plain(hidden_NC: Tensor, weight_VC: Tensor, target_N: Tensor) -> Tensor:
    """Cross entropy as everyone writes it; stores the logits, their logarithms and gradients."""
    return F.cross_entropy(F.linear(hidden_NC, weight_VC), target_N)


def implementations(device: str) -> dict[str, Implementation]:
    """Ours and what is installed of the others."""
    found = {"torch": Implementation(plain)}
    if device == "cpu":
        found["torch, products in oneDNN"] = Implementation(plain, exact_onednn)
    else:
        found["torch.compile"] = Implementation(torch.compile(plain))
    with contextlib.suppress(AttributeError):  # torch before 2.13
        chunked: Any = F.linear_cross_entropy
        options = torch.nn.LinearCrossEntropyOptions()
        found["torch, chunked"] = Implementation(functools.partial(chunked, options=options))
    if device == "cuda":
        with contextlib.suppress(ModuleNotFoundError):
            liger = importlib.import_module("liger_kernel.transformers")
            loss = liger.LigerFusedLinearCrossEntropyLoss()
            found["liger-kernel"] = Implementation(
                lambda hidden, *rest: loss(rest[0], hidden, rest[1])
            )
    return found | {"curricle": Implementation(linear_cross_entropy)}


def make_case(shape: str, device: str, dtype: torch.dtype) -> list[Tensor]:
    """Hidden states and weight that want gradients, and targets."""
    rows, width, vocabulary = (int(size) for size in shape.split(","))
    torch.manual_seed(0)
    hidden_NC = torch.randn(rows, width).to(device, dtype).requires_grad_()
    weight_VC = (torch.randn(vocabulary, width) / width**0.5).to(device, dtype).requires_grad_()
    return [hidden_NC, weight_VC, torch.randint(0, vocabulary, (rows,)).to(device)]


def forward_backward(implementation: Implementation, case: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of both inputs."""
    with implementation.setting():
        return torch.autograd.grad(implementation.loss(*case), case[:2])


def forward(implementation: Implementation, case: list[Tensor]) -> Tensor:
    """Loss alone, as in evaluation and scoring."""
    with implementation.setting(), torch.no_grad():
        return implementation.loss(*case)


MODES: dict[str, Callable[[Implementation, list[Tensor]], Any]] = {
    "forward + backward": forward_backward,
    "forward": forward,
}


def milliseconds(functions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median time of each; the first round, which compiles and warms up, doesn't count."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(1 + repeats):
        for name, function in functions.items():
            times[name].append(seconds(function) * 1e3)
    return {name: statistics.median(each[1:]) for name, each in times.items()}


def seconds(function: Callable[[], object]) -> float:
    """Wall-clock time, with the device idle before and after."""
    synchronize()
    start = time.perf_counter()
    function()
    synchronize()
    return time.perf_counter() - start


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def gradient_error(implementation: Implementation, case: list[Tensor]) -> float:
    """Largest error of a gradient against fp64, relative to its largest entry."""
    hidden_NC, weight_VC, target_N = (tensor.detach() for tensor in case)
    _, *exact = losses_and_gradients(
        hidden_NC.double(), weight_VC.double(), target_N, -100, None, (True, True)
    )
    errors = []
    for found, expected in zip(forward_backward(implementation, case), exact, strict=True):
        assert expected is not None
        error = (found - expected / len(target_N)).abs().max()
        errors.append(float(error * len(target_N) / expected.abs().max()))
    return max(errors)


def peak_on_gpu(run: Callable[[], object]) -> float:
    """Most memory that torch allocated during one run beyond what it had, in MiB."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def peak_on_cpu(name: str, mode: str, shape: str) -> float:
    """Growth of a fresh process during one run, in MiB: the peak of this one is its past's."""
    command = [sys.executable, __file__, *sys.argv[1:], "--peak", name, mode, shape]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(output)


def print_growth(name: str, mode: str, shape: str, settings: argparse.Namespace) -> None:
    """Growth of this process's peak memory; a small case first, which loads what code it needs."""
    implementation = implementations("cpu")[name]
    MODES[mode](implementation, make_case("32,8,64", "cpu", settings.dtype))
    case = make_case(shape, "cpu", settings.dtype)
    before = resident_mebibytes("VmRSS")
    MODES[mode](implementation, case)
    print(resident_mebibytes("VmHWM") - before)


def resident_mebibytes(key: str) -> float:
    """VmRSS, what this process has in memory now, or VmHWM, the most it ever had (Linux)."""
    status = Path("/proc/self/status").read_text("utf-8")
    (kibibytes,) = re.findall(rf"{key}:\s*(\d+) kB", status)
    return int(kibibytes) / 1024


def compare_losses(shape: str, mode: str, settings: argparse.Namespace) -> None:
    """Print one table of linear_cross_entropy."""
    case = make_case(shape, settings.device, settings.dtype)
    candidates = implementations(settings.device)
    run = MODES[mode]
    functions = {name: functools.partial(run, each, case) for name, each in candidates.items()}
    medians = milliseconds(functions, settings.repeats)
    print(f"\nlinear_cross_entropy, N,C,V = {shape}, {settings.dtype}, {mode}\n")
    print("| implementation | ms | times torch's speed | peak MiB | gradient error |")
    print("|---|---|---|---|---|")
    for name, median in medians.items():
        on_gpu = settings.device == "cuda"
        peak = peak_on_gpu(functions[name]) if on_gpu else peak_on_cpu(name, mode, shape)
        error = f"{gradient_error(candidates[name], case):.1e}" if mode != "forward" else ""
        print(f"| {name} | {median:.2f} | {medians['torch'] / median:.2f} | {peak:.0f} | {error} |")


def sorted_entropy(tokens_BT: Tensor, vocabulary_size: int) -> Tensor:
    """Unigram entropies by torch's sort: what one would write without a kernel."""
    rows, length = tokens_BT.shape
    first_B1 = torch.arange(rows, device=tokens_BT.device).unsqueeze(1) * vocabulary_size
    keys_BT = tokens_BT.sort(dim=1).values + first_B1
    key_U, count_U = torch.unique_consecutive(keys_BT.flatten(), return_counts=True)
    sum_B = torch.zeros(rows, dtype=torch.float64, device=tokens_BT.device)
    sum_B.index_add_(0, key_U // vocabulary_size, torch.special.entr(count_U / length).double())
    return sum_B


def rensa_signatures(hashes_S: Tensor, offsets: Tensor, permutations: int) -> object:
    """MinHash signatures by rensa, as NumPy's users get them."""
    rensa: Any = importlib.import_module("rensa")
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        hashes_S.numpy(), offsets.numpy().astype(np.uint64), num_perm=permutations, seed=1
    )
    return np.array(matrix.to_rows(), dtype=np.uint64)


def sequence_operations(device: str) -> dict[str, Functions]:
    """For each operation on tokens or hashes, ours last and what it is compared with."""
    rows, length, vocabulary = SEQUENCES[device]
    tokens_BT = (torch.rand(rows, length) ** 4 * vocabulary).long().to(device)
    model = fit_bigram_model(tokens_BT[: rows // 4], vocabulary)
    documents, permutations = rows * 4, 112
    offsets = torch.arange(documents + 1).to(device) * HASHES_EACH
    bits_S = torch.randint(-(2**63), 2**63 - 1, (documents * HASHES_EACH,))
    hashes_S = bits_S.view(torch.uint64).to(device)
    entropies: Functions = {"torch.sort": lambda: sorted_entropy(tokens_BT, vocabulary)}
    entropies["curricle"] = lambda: sequence_entropy(tokens_BT, vocabulary)
    bigrams: Functions = {}
    if device == "cuda":  # on the CPU this is ours
        bigrams["torch.searchsorted"] = lambda: bigram_reference.cross_entropy(tokens_BT, model)
    bigrams["curricle"] = lambda: bigram_cross_entropy(tokens_BT, model)
    signatures: Functions = {}
    if device == "cpu" and importlib.util.find_spec("rensa"):
        signatures["rensa"] = lambda: rensa_signatures(hashes_S, offsets, permutations)
    signatures["curricle"] = lambda: minhash(hashes_S, offsets, permutations, seed=1)
    sizes = f"{documents} x {HASHES_EACH} x {permutations}"
    return {
        f"sequence_entropy, B,T,V = {rows},{length},{vocabulary}": entropies,
        f"bigram_cross_entropy, B,T,V = {rows},{length},{vocabulary}": bigrams,
        f"minhash, documents x hashes x permutations = {sizes}": signatures,
    }


def compare_operations(settings: argparse.Namespace) -> None:
    """Print a table of each operation on tokens or hashes."""
    torch.manual_seed(0)
    for title, functions in sequence_operations(settings.device).items():
        medians = milliseconds(functions, settings.repeats)
        first, peer = next(iter(medians.items()))
        print(f"\n{title}\n\n| implementation | ms | times the speed of {first} |\n|---|---|---|")
        for name, median in medians.items():
            print(f"| {name} | {median:.2f} | {peer / median:.2f} |")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=["cpu", "cuda"], default=default)
    parser.add_argument("--dtype", help="default: float32 on the CPU, bfloat16 on a GPU")
    parser.add_argument("--shape", action="append", metavar="N,C,V", help="may be repeated")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="of the CPU")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    default = "float32" if settings.device == "cpu" else "bfloat16"
    settings.dtype = getattr(torch, settings.dtype or default)
    settings.shape = settings.shape or SHAPES[settings.device]
    return settings


def describe(settings: argparse.Namespace) -> str:
    """Device, settings and versions: what the numbers depend on."""
    if settings.device == "cuda":
        device = torch.cuda.get_device_name()
    else:
        models = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
        malloc = "tuned malloc" if os.environ.get("GLIBC_TUNABLES") else "default malloc"
        device = f"{models[0]}, {settings.threads} thread(s), {malloc}"
    return f"{device}; torch {torch.__version__}; medians of {settings.repeats} rounds"


def main() -> None:
    """Print all tables."""
    settings = parse()
    torch.set_num_threads(settings.threads)
    if settings.peak:
        name, mode, shape = settings.peak
        print_growth(name, mode, shape, settings)
        return
    print(describe(settings))
    for shape in settings.shape:
        for mode in MODES:
            compare_losses(shape, mode, settings)
    compare_operations(settings)


if __name__ == "__main__":
    main()
