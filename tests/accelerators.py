"""Where a test runs, for `parametrize`: on a CPU, and on a CUDA device where there is one."""

import pytest
import torch

ACCELERATORS = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        ],
    ),
]
