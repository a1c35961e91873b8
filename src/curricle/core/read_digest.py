"""A rolling digest of what a training run reads: with it, a log proves which samples were seen.

    d_0 = 0,   d_t = first 8 bytes of SHA-256(d_(t-1), token ids of batch t)

Token ids, as little-endian int64, are hashed rather than sample ids: a run that reads another text
under the same numbers gives another digest. It is made beside the training, in the thread that
reads ahead.
"""

import hashlib

import numpy as np
import numpy.typing as npt

START = "0" * 16


def next_digest(digest: str, windows: npt.NDArray[np.int64]) -> str:
    """The digest after a batch; `windows` are its samples' tokens in reading order, any shape."""
    content = hashlib.sha256(bytes.fromhex(digest))
    content.update(np.ascontiguousarray(windows, dtype="<i8").data)
    return content.hexdigest()[:16]
