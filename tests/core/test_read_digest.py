import hashlib

import numpy as np

from curricle.core.read_digest import START, next_digest

BATCHES = np.arange(48).reshape(4, 3, 4)


def test_the_digest_is_the_chain_that_is_written_down() -> None:
    digest = START
    for batch in BATCHES:
        expected = hashlib.sha256(bytes.fromhex(digest) + batch.astype("<i8").tobytes())
        digest = next_digest(digest, batch)
        assert bytes.fromhex(digest) == expected.digest()[:8]


def test_order_and_tokens_count_and_shape_does_not() -> None:
    one = next_digest(START, BATCHES[0])
    assert next_digest(START, BATCHES[0].reshape(2, 6)) == one
    assert next_digest(START, BATCHES[0][::-1]) != one
    assert next_digest(next_digest(START, BATCHES[0]), BATCHES[1]) != next_digest(
        next_digest(START, BATCHES[1]), BATCHES[0]
    )
