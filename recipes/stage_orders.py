"""Orders by stage: which stage a sample belongs to, and when a run reads it.

An arrangement reads the very samples of the mix that it is compared with, only at other times.
"""

import numpy as np
import numpy.typing as npt

from curricle.core.order_file import Order
from curricle.core.seeds import generator

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def bins_of(
    scores: Floats, groups: npt.NDArray[np.integer], bins: int, *, descending: bool
) -> Integers:
    """Each sample's bin from 0 on, equally large within each group; ties go by sample.

    Arrays have an entry per sample. The first bin holds the lowest scores, or the highest.
    """
    stage = np.empty(len(scores), dtype=np.int64)
    signed = -scores if descending else scores
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        ranked = members[np.argsort(signed[members], kind="stable")]
        stage[ranked] = np.arange(len(ranked)) * bins // len(ranked)
    return stage


def arranged_by_stage(
    order: Order, stages: Integers, staged: int, *, backward: bool, rehearsal: float, seed: int
) -> Order:
    """The first `staged` samples of `order` sorted by stage, the others in their places.

    Within a stage the turn stays as it was. A share `rehearsal` of the sorted samples, drawn at
    random, keeps its places too. `stages` has an entry per sample of the dataset.
    """
    arranged = order.copy()
    moved = generator(seed, "rehearsal").random(staged) >= rehearsal
    places = np.flatnonzero(moved)
    key = stages[order[places]]
    arranged[places] = order[places][np.argsort(-key if backward else key, kind="stable")]
    return arranged
