"""The switch to oneDNN loses no bit, and leaves torch's setting as it was."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from curricle.kernels.onednn import exact_onednn, onednn_is_exact


@pytest.fixture
def matmul() -> Iterator[Any]:
    """Torch's settings of oneDNN's products, restored afterwards."""
    settings: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = settings.fp32_precision
    yield settings
    settings.fp32_precision = before


def test_onednn_keeps_every_bit_and_the_setting(matmul: Any) -> None:
    matmul.fp32_precision = "ieee"
    # 1 + 2**-23 survives only in fp32; 512 of them, each times 1, are an exact sum.
    left, right = torch.full((64, 512), 1 + 2**-23), torch.eye(512)
    with exact_onednn():
        with exact_onednn():
            pass
        assert matmul.fp32_precision == ("bf16" if onednn_is_exact() else "ieee")
        assert torch.equal(left @ right, left)
    assert matmul.fp32_precision == "ieee"
    with pytest.raises(KeyError), exact_onednn():
        raise KeyError
    assert matmul.fp32_precision == "ieee"
