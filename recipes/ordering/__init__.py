"""Orders: which samples a run reads, and when. Pure functions of scores, domains and a seed."""

from curricle.recipes.ordering.arrangements import sorted_order
from curricle.recipes.ordering.curriculum import SampleTable, check_epochs, curriculum_order
from curricle.recipes.ordering.growing_pool import growing_pool_order
from curricle.recipes.ordering.random_orders import (
    Part,
    check_mix,
    mixed_order,
    partition,
    random_order,
    reshuffled,
)

__all__ = [
    "Part",
    "SampleTable",
    "check_epochs",
    "check_mix",
    "curriculum_order",
    "growing_pool_order",
    "mixed_order",
    "partition",
    "random_order",
    "reshuffled",
    "sorted_order",
]
