"""What a study may not say about curricula."""

from pathlib import Path

import pytest

from curricle.core.errors import InputError
from curricle.recipes.loading import load_study
from curricle.recipes.specs.curricula import GrowingPool


def test_a_growing_pool_is_the_default(tiny_study: Path) -> None:
    study = load_study(str(tiny_study))
    assert study.curricula["learnability"] == GrowingPool()


@pytest.mark.parametrize(
    ("curriculum", "message"),
    [
        ("{pacing: growing, full_at: 1}", r"pacing is 'growing', expected one of growing-pool"),
        ("{start_fraction: 0}", "start_fraction: 0, expected"),
        ("{start_fraction: 1.5}", r"start_fraction: 1.5, expected less than or equal to 1"),
        ("{full_at: 1.5}", r"full_at: 1.5, expected less than or equal to 1"),
        ("{pacing: sorted, full_at: 0.5}", r"full_at: unknown key, expected one of"),
        ("{pacing: bucketed, buckets: 1}", "buckets: 1, expected greater than or equal to 2"),
        ("{pacing: v-shaped, turn: 1.0}", "turn: 1.0, expected less than 1"),
        (
            "{pacing: stages, stages: [{tokens: 96}, {tokens: 4001}]}",
            r"curriculum 'x': stages of 4097 tokens in all, expected target.tokens, 4096",
        ),
        ("{pacing: stages, stages: []}", "stages"),
        (
            "{drawing: with-replacement, max_repeats: 2}",
            "max_repeats with drawing with-replacement, expected a cap",
        ),
    ],
)
def test_curricula_that_cant_be_are_refused(
    tiny_study: Path, curriculum: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_study(str(tiny_study), [f"curricula.x={curriculum}"])
