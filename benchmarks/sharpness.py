"""Hessian-vector products and time to the largest eigenvalue: Lanczos beside power iteration.

    python benchmarks/sharpness.py --threads 2

The peer is power iteration as PyHessian runs it: from a random vector, until the Rayleigh quotient
changes by less than the tolerance. Both get the same products of the same Hessians, of decoders on
the standard library's source text, trained and fresh; the top two eigenvalues of the fresh ones lie
close together. For each the table says after how many products the eigenvalue was within the
tolerance of what SciPy's ARPACK finds with a hundred times smaller one, after how many the method
stopped by itself, how far off it was then, and the time.
"""

import argparse
import functools
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from curricle.core.jobs import ModelSpec
from curricle.models.decoder import Decoder, build_model
from curricle.models.hessian import BatchLoss
from curricle.models.lanczos import extreme_eigenvalues

BYTES = 256
MOST_PRODUCTS = 100
Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """An operator: its size, its product with a vector, its extreme eigenvalues."""

    name: str
    size: int
    product: Product
    largest: float
    second: float
    smallest: float


def power_iteration(product: Product, start_P: Tensor) -> Iterator[float]:
    """The Rayleigh quotient after each product."""
    vector_P = start_P / start_P.norm()
    while True:
        image_P = product(vector_P)
        yield float(image_P @ vector_P)
        vector_P = image_P / (image_P.norm() + 1e-6)


def power_until_it_stops(product: Product, start_P: Tensor, tolerance: float) -> tuple[float, int]:
    """Eigenvalue and products of power iteration under PyHessian's rule."""
    last = math.inf
    for count, now in enumerate(power_iteration(product, start_P), 1):
        if abs(now - last) / (abs(last) + 1e-6) < tolerance or count == MOST_PRODUCTS:
            return now, count
        last = now
    raise AssertionError("power iteration never ends by itself")


def lanczos_until_it_stops(
    product: Product, start_P: Tensor, tolerance: float
) -> tuple[float, int]:
    """Eigenvalue and products of ours."""
    found = extreme_eigenvalues(product, start_P, MOST_PRODUCTS, tolerance, smallest=False)
    return found.largest.eigenvalue, found.iterations


def lanczos_estimates(product: Product, start_P: Tensor, products: int) -> list[float]:
    """The largest Ritz value after each of the first `products` products."""
    images: list[Tensor] = []

    def remembered(vector_P: Tensor) -> Tensor:
        images.append(product(vector_P))
        return images[-1].clone()

    extreme_eigenvalues(remembered, start_P, products, 0.0, smallest=False)

    def replay(count: int) -> float:
        stored = iter(images)
        found = extreme_eigenvalues(
            lambda _: next(stored).clone(), start_P, count, 0.0, smallest=False
        )
        return found.largest.eigenvalue

    return [replay(count) for count in range(1, len(images) + 1)]


def source_windows(length: int, samples: int, seed: int) -> Iterator[Tensor]:
    """Random windows of the standard library's source text, bytes as tokens."""
    folder = Path(argparse.__file__).parent
    text = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    stream = torch.from_numpy(np.frombuffer(text, np.uint8).astype(np.int64))
    draw = torch.Generator().manual_seed(seed)
    while True:
        starts = torch.randint(len(stream) - length - 1, (samples,), generator=draw)
        yield torch.stack([stream[start : start + length + 1] for start in starts.tolist()])


def trained(spec: ModelSpec, steps: int) -> Decoder:
    """A model after `steps` of Adam on source text."""
    model = build_model(spec, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    batches = source_windows(spec.sequence_length, 16, seed=1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(next(batches)).backward()
        optimizer.step()
    return model


def make_case(name: str, model: Decoder, windows: Tensor, tolerance: float) -> Case:
    """The Hessian of `model` on `windows`, with its eigenvalues by ARPACK."""
    parameters = list(model.parameters())
    size = sum(parameter.numel() for parameter in parameters)
    product = BatchLoss(model, windows).hessian_product(parameters)

    def apply(vector: np.ndarray[tuple[int], np.dtype[np.float32]]) -> object:
        return product(torch.from_numpy(vector.astype(np.float32).ravel())).numpy()

    operator = LinearOperator((size, size), matvec=apply, dtype=np.float32)
    smallest, _, second, largest = np.sort(
        eigsh(operator, k=4, which="BE", tol=tolerance / 100, return_eigenvectors=False)
    )
    return Case(name, size, product, float(largest), float(second), float(smallest))


def products_until(estimates: Iterable[float], case: Case, tolerance: float) -> str:
    """Products after which the estimate is within the tolerance for the first time."""
    for count, estimate in enumerate(itertools.islice(estimates, MOST_PRODUCTS), 1):
        if abs(estimate / case.largest - 1) <= tolerance:
            return str(count)
    return f"more than {MOST_PRODUCTS}"


def compare(case: Case, settings: argparse.Namespace) -> None:
    """Print a row for each method."""
    start_P = torch.randn(case.size, generator=torch.Generator().manual_seed(settings.seed))
    methods = {"power iteration": power_until_it_stops, "Lanczos": lanczos_until_it_stops}
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    found: dict[str, tuple[float, int]] = {}
    for _ in range(settings.repeats):
        for name, method in methods.items():
            begin = time.perf_counter()
            found[name] = method(case.product, start_P, settings.tolerance)
            seconds[name].append(time.perf_counter() - begin)
    curves: dict[str, Iterable[float]] = {
        "power iteration": power_iteration(case.product, start_P),
        "Lanczos": lanczos_estimates(case.product, start_P, found["Lanczos"][1]),
    }
    for name, (value, count) in found.items():
        error = abs(value / case.largest - 1)
        print(
            f"| {case.name} | {case.second / case.largest:.3f} "
            f"| {case.smallest / case.largest:.3f} | {name} "
            f"| {products_until(curves[name], case, settings.tolerance)} | {count} "
            f"| {error:.1e} | {statistics.median(seconds[name]):.2f} |",
            flush=True,
        )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--steps", type=int, default=150, help="of training")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the first vector")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    settings = parse()
    torch.set_num_threads(settings.threads)
    sized = functools.partial(ModelSpec, family="gpt2", vocabulary_size=BYTES, sequence_length=64)
    real = sized(num_layers=4, width=128, num_heads=4)
    small = sized(num_layers=2, width=32, num_heads=2)
    windows = next(source_windows(real.sequence_length, 8, seed=0))
    models = {
        f"4 x 128 after {settings.steps} steps": trained(real, settings.steps),
        "2 x 32 after 60 steps": trained(small, 60),
        "2 x 32, fresh, seed 1": build_model(small, seed=1),
        "2 x 32, fresh, seed 2": build_model(small, seed=2),
    }
    print(
        f"tolerance {settings.tolerance:g}, {settings.threads} thread(s), torch {torch.__version__}"
    )
    print(
        "\n| Hessian | second / largest | method | products to tolerance | until it stops ", end=""
    )
    print("| relative error then | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, model in models.items():
        compare(make_case(name, model, windows, settings.tolerance), settings)


if __name__ == "__main__":
    main()
