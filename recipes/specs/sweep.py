"""What a sweep has beside its proxy and target: variants of both, the search for the tiny rate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import Field, ValidationError

from curricle.recipes.specs.base import Name, PositiveFloat, PositiveInt, Spec, refuse
from curricle.recipes.specs.training import MINIMUM_SEEDS, Proxy, Target, Training

T = TypeVar("T", bound=Training)

_EXCLUSIVE = (
    ({"tokens"}, {"tokens_per_parameter"}),
    ({"num_layers", "width", "num_heads"}, {"preset"}, {"non_embedding_parameters"}),
)
"""Ways to say the same thing: a variant that uses one of them drops the others."""


class Variant(Spec):
    """Another sweep that names only what differs: settings of the proxy and of the target.

    It takes `recipes` (default: all), the baseline among them. Without a `target` of its own its
    ranking is compared with that of the study's target. Both are judged on `tokens_per_domain` of
    each domain's held-out tokens (default: the study's evaluation.tokens_per_domain).
    """

    recipes: tuple[Name, ...] = ()
    proxy: Mapping[str, Any] = Field(default_factory=dict)
    target: Mapping[str, Any] | None = None
    tokens_per_domain: PositiveInt | None = None


class Band(Spec):
    """A short sweep that finds the rates at which proxies can be trusted, and what bounds them.

    `recipes` (default: all that can be ranked) are trained at each of `learning_rates` with each of
    `seeds` for `tokens`. At the start the gradients of `batches` batches of each recipe are
    compared with the validation loss's; on the first recipe at most `products` Hessian-vector
    products, over `curvature_samples` held-out samples, find the largest eigenvalue.
    """

    learning_rates: tuple[PositiveFloat, ...] = Field(min_length=3)
    tokens: PositiveInt
    recipes: tuple[Name, ...] = ()
    seeds: Annotated[int, Field(ge=2)] = MINIMUM_SEEDS
    batches: PositiveInt = 16
    products: PositiveInt = 40
    curvature_samples: PositiveInt = 32


class Budget(Spec):
    """What the proxies may cost; no part of any identity.

    Seeds are added, and recipes that can't be the best any more dropped, until it is spent.
    """

    flops: PositiveFloat | None = None
    hours: PositiveFloat | None = None

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self.flops is not None or self.hours is not None


@dataclass(frozen=True)
class Sweep:
    """Proxies over some recipes, and the target that they are to stand in for.

    `name` is empty for the study's own; `target` is None where a variant has none of its own.
    Losses are means over `tokens_per_domain` held-out tokens of each domain.
    """

    name: str
    proxy: Proxy
    target: Target | None
    recipes: tuple[str, ...]
    tokens_per_domain: int


def changed(training: T, overrides: Mapping[str, Any], where: str) -> T:
    """`training` with some settings replaced. A wrong one is refused, with `where` it stands."""
    kept = {
        name: value
        for name, value in training.model_dump(exclude_unset=True).items()
        if not _is_replaced(name, overrides)
    }
    try:
        return type(training).model_validate({**kept, **overrides})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join([where, *map(str, first["loc"])])
        context = first.get("ctx", {})
        if first["type"] == "rule":
            refuse(f"{place}: {context['found']}", context["expected"], context["fix"])
        refuse(f"{place}: {first['input']!r}", _lower(first["msg"]), f"correct {place}")


def check_recipes(where: str, names: Iterable[str], known: Iterable[str], baseline: str) -> None:
    """Refuse unknown recipes, fewer than two, and a choice without the baseline."""
    chosen, known = list(names), list(known)
    if unknown := [name for name in chosen if name not in known]:
        refuse(f"{where}: {unknown[0]!r}", f"some of {', '.join(known)}", "correct the name")
    if chosen and (baseline not in chosen or len(chosen) < 2):
        refuse(
            f"{where}: {', '.join(chosen)}",
            f"the baseline {baseline!r} and at least one more",
            "add them",
        )


def _is_replaced(name: str, overrides: Mapping[str, Any]) -> bool:
    """Whether another way to say what `name` says is among the overrides."""
    return any(
        name in way and any(other is not way and other & set(overrides) for other in ways)
        for ways in _EXCLUSIVE
        for way in ways
    )


def _lower(message: str) -> str:
    return message.removeprefix("Input should be ").removeprefix("a valid ")
