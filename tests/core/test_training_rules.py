from dataclasses import replace
from typing import Any

import pytest

from curricle.core.errors import InputError
from curricle.core.jobs import AveragingSpec, ModelSpec, OptimizerSpec, TrainingSpec
from curricle.core.training_rules import check_run

OPTIMIZER = OptimizerSpec(
    learning_rate=1e-3,
    schedule="wsd",
    warmup_fraction=0.1,
    final_fraction=0.0,
    weight_decay=0.1,
    gradient_clip=1.0,
)
SPEC = TrainingSpec(
    model=ModelSpec(
        family="gpt2",
        num_layers=1,
        width=8,
        num_heads=1,
        vocabulary_size=10,
        sequence_length=12,
    ),
    optimizer=OPTIMIZER,
    batch_size=4,
    steps=20,
    seed=0,
    validation_tokens_per_domain=12,
)


def averaged(**settings: Any) -> dict[str, Any]:
    return {"averaging": AveragingSpec(**settings)}


def optimized(**settings: Any) -> dict[str, Any]:
    return {"optimizer": replace(OPTIMIZER, **settings)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        optimized(warmup_fraction=0.0),
        optimized(warmup_fraction=0.8),
        averaged(method="ema"),
        averaged(method="last", checkpoints=20),
        averaged(method="last", checkpoints=2, every=19),
        {"checkpoints_at": (48, 960), "validations_at": (480,), "micro_batch_size": 2},
    ],
)
def test_what_fits_passes(changes: dict[str, Any]) -> None:
    check_run(replace(SPEC, **changes), devices=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (optimized(schedule="staircase"), r"schedule 'staircase', expected one of .*'wsd'"),
        (optimized(warmup_fraction=0.01), r"warmup_fraction 0\.01 in a run of 20 steps.* 0\.05,"),
        (optimized(warmup_fraction=1.5), r"warmup_fraction 1\.5 in a run of 20 steps"),
        (optimized(decay_fraction=0.01), r"decay_fraction 0\.01 in a run of 20 steps"),
        (optimized(warmup_fraction=0.9), r"expected a warm-up that ends before the decay begins"),
        (averaged(method="median"), r"averaging method 'median', expected one of"),
        (averaged(method="ema", decay=1.0), r"averaging\.decay 1, expected a number between"),
        (averaged(method="last", checkpoints=5, every=5), r"5 checkpoints every 5 steps in a run"),
        (averaged(method="last", checkpoints=2, every=0), r"2 checkpoints every 0 steps"),
        ({"micro_batch_size": 3}, r"batch_size 4, micro_batch_size 3, 2 devices"),
        ({"micro_batch_size": 1}, r"batch_size 4, micro_batch_size 1, 2 devices"),
        ({"checkpoints_at": (0,)}, r"checkpoints_at: 0 tokens, expected multiples of 48 tokens"),
        ({"checkpoints_at": (48, 100)}, r"checkpoints_at: 100 tokens, expected multiples of 48"),
        ({"validations_at": (9600,)}, r"validations_at: 9600 tokens, expected .* up to 960"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_run(replace(SPEC, **changes), devices=2)
