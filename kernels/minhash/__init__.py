"""MinHash signatures of sets of hashes."""

from curricle.kernels.minhash.function import minhash

__all__ = ["minhash"]
