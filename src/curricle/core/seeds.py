"""Independent random streams out of one seed."""

import hashlib

import numpy as np


def derive_seed(seed: int, *names: object) -> int:
    """A 63-bit seed for the stream `names` of `seed`; the same on every platform and Python.

    Streams are told apart by name (`derive_seed(3, "initialisation")`), so that a new use of
    randomness never shifts the numbers of the existing ones.
    """
    key = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *names: object) -> np.random.Generator:
    """A NumPy generator for the stream `names` of `seed`."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *names)))


def uniform_hash(key: str, *, salt: str = "") -> float:
    """A number in [0, 1) that depends on `key` and `salt` alone: the basis of splits by hash."""
    digest = hashlib.sha256(f"{salt}\x00{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
