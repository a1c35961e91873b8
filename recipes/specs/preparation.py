"""Where and how recipes and orders are prepared; no part of any identity."""

from typing import Literal, Self

from pydantic import model_validator

from curricle.recipes.specs.base import PositiveInt, Spec, refuse


class Preparation(Spec):
    """What maps the shards of corpora and recipes.

    `local` is this machine's cores, `dask` and `ray` are clusters (extras of the package): the one
    at `address`, or one that is started on this machine. `workers` is the number of processes, by
    default one a core. With `materialise_orders` the samples of each target's order are written
    down once more, in reading order, and the target streams them.
    """

    engine: Literal["local", "dask", "ray"] = "local"
    address: str | None = None
    workers: PositiveInt | None = None
    materialise_orders: bool = False

    @model_validator(mode="after")
    def _address_fits(self) -> Self:
        if self.address and self.engine == "local":
            refuse("an address with engine local", "one with dask or ray", "remove address")
        if self.address and self.workers:
            refuse(
                "address and workers",
                "workers only of a cluster that is started here",
                "remove workers: the cluster at that address has its own",
            )
        return self
