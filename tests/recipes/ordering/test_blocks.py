"""Orders made block by block are those made at once."""

import hashlib
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from curricle.recipes.ordering import (
    SampleTable,
    curriculum_order,
    random_order,
    reshuffled,
    sorted_order,
)
from curricle.recipes.ordering.blocks import blocks, fill
from curricle.recipes.ordering.growing_pool import ranked_members
from curricle.recipes.specs.curricula import Precomputed

SAMPLES, COUNT = 300, 480
DRAW = np.random.default_rng(0)
SCORES = {
    "distinct": DRAW.normal(size=SAMPLES),
    "few": np.round(DRAW.normal(size=SAMPLES), 1),
    "one for most": np.where(DRAW.random(SAMPLES) < 0.7, 0.5, DRAW.normal(size=SAMPLES)),
    "one": np.zeros(SAMPLES),
}
IN_POOL = np.arange(SAMPLES) % 5 > 0
DOMAINS = np.repeat([0, 1, 2], [100, 150, 50]).astype(np.int16)
STAGES = ({"tokens": 3}, {"tokens": 1, "mix": {"a": 1.0}, "top": 0.5})
PACINGS: dict[str, dict[str, Any]] = {
    "growing-pool": {},
    "growing-pool, capped": {"max_repeats": 4},
    "growing-pool, with replacement": {"drawing": "with-replacement"},
    "sorted": {},
    "bucketed": {},
    "v-shaped": {},
    "interleaved": {},
    "warm-up": {},
    "oversampled-v": {},
    "stages": {"stages": STAGES},
    "stages, with replacement": {"stages": STAGES, "drawing": "with-replacement"},
}


def digest_of_all(scores: np.ndarray, pacing: str) -> str:
    """Of the orders in both directions and over both ranges of ranks, and their controls."""
    base = random_order(np.flatnonzero(IN_POOL), COUNT, 1)
    table = SampleTable(scores, DOMAINS, ("a", "b", "c"), IN_POOL)
    settings = {"pacing": pacing.partition(",")[0], **PACINGS[pacing]}
    digest = hashlib.sha256()
    for within in ("domain", "all"):
        if within == "domain" and pacing == "oversampled-v":
            continue
        ranges = {} if pacing.startswith("stages") else {"within": within}
        curriculum: Precomputed = TypeAdapter(Precomputed).validate_python({**settings, **ranges})
        for anti in (False, True):
            order = curriculum_order(curriculum, table, base, batch_size=8, seed=1, anti=anti)
            digest.update(order.tobytes())
            digest.update(reshuffled(order, 1).tobytes())
    return digest.hexdigest()[:16]


# Made when nothing went block by block yet.
DIGESTS: dict[str, tuple[str, ...]] = {
    "growing-pool": (
        "0ddf1f5f3c22d2fa",
        "c638e43f3a468b54",
        "1801e7fe234bbc2e",
        "739127b6de655aec",
    ),
    "growing-pool, capped": (
        "0ddf1f5f3c22d2fa",
        "c638e43f3a468b54",
        "1801e7fe234bbc2e",
        "739127b6de655aec",
    ),
    "growing-pool, with replacement": (
        "5f89142b094cb915",
        "b3c9e5bf4125fbf1",
        "2fab1e5ef92e8b8b",
        "d3cb2d43e273f3ea",
    ),
    "sorted": ("6a9ef40f534a23c9", "0e8d3fc88af51fa6", "2e7efa9bf4c2ee0d", "313f0b631fed919b"),
    "bucketed": ("206a323bacf30b47", "09c5ae4c36e02cf5", "2f2cc8801b79078d", "e940889ab016cd67"),
    "v-shaped": ("6a7f57e0f7f8d29e", "2741c19596967e3d", "22d5be72d05dfa16", "3f36990d31e61ce3"),
    "interleaved": ("8ad33240e6d68f27", "489dc5568704fc94", "4df3a6ae44ba9b28", "ea6e1a4ac7828f0c"),
    "warm-up": ("c23a0076ab96b2df", "d157206e4723a597", "290de3b455c837d8", "313f0b631fed919b"),
    "oversampled-v": (
        "6265c07ddcf66875",
        "e13e981ea2f473bf",
        "3a9de0f6ee0fb6fa",
        "ee89c6fde7a521cf",
    ),
    "stages": ("2d00f5441f188a6c", "2c2a40fdbd8e6e7c", "8f186bf25be8b0a5", "729ab5a12fe5608d"),
    "stages, with replacement": (
        "b2be8fb6d3c013f4",
        "bcbf92ea7e81ba95",
        "f91543a542ee0144",
        "a2b5bd0fbcf8510f",
    ),
}


@pytest.mark.parametrize("pacing", PACINGS)
def test_orders_are_what_they_were_whatever_the_blocks(
    pacing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tuple(digest_of_all(scores, pacing) for scores in SCORES.values())
    assert found == DIGESTS[pacing]
    monkeypatch.setattr("curricle.recipes.ordering.blocks.BLOCK", 7)
    monkeypatch.setattr("curricle.recipes.ordering.growing_pool.SORTED_AT_ONCE", 13)
    monkeypatch.setattr("curricle.recipes.ordering.curriculum.CHOSEN_AT_ONCE", 40)
    assert tuple(digest_of_all(scores, pacing) for scores in SCORES.values()) == found


@pytest.mark.parametrize("lowest_first", [False, True])
@pytest.mark.parametrize("kind", SCORES)
def test_ranges_rank_equal_scores_by_sample(
    kind: str, lowest_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curricle.recipes.ordering.growing_pool.SORTED_AT_ONCE", 13)
    sign, scores = (1 if lowest_first else -1), SCORES[kind]
    expected = sorted(np.flatnonzero(IN_POOL).tolist(), key=lambda i: (sign * scores[i], i))
    assert ranked_members(scores, IN_POOL, lowest_first=lowest_first).tolist() == expected


@pytest.mark.parametrize("direction", ["ascending", "descending", "v-shaped", "interleaved"])
def test_a_sorted_order_may_be_written_elsewhere(direction: str) -> None:
    base = random_order(np.flatnonzero(IN_POOL), COUNT, 1)
    out = np.empty(COUNT, dtype=np.int64)
    assert sorted_order(base, SCORES["few"], direction, 3, out) is out
    np.testing.assert_array_equal(out, sorted_order(base, SCORES["few"], direction, 3))


def test_blocks_cover_all_places_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curricle.recipes.ordering.blocks.BLOCK", 4)
    assert list(blocks(10)) == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert list(blocks(10, 7)) == [slice(7, 10)]
    assert list(blocks(3, 5)) == []
    target, here = np.zeros(10, dtype=np.int64), np.arange(10) % 3 > 0
    fill(target, here, np.arange(100, 110), np.array([9, 8, 7, 6, 5, 4]))
    assert target.tolist() == [0, 109, 108, 0, 107, 106, 0, 105, 104, 0]
