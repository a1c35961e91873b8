from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curricle.core.errors import InputError
from curricle.recipes.mixing import Portion, mixed_shares, portions, shares
from curricle.recipes.specs.mix import Mix

COUNTS = st.lists(st.integers(1, 500), min_size=1, max_size=40)
WEIGHTS = st.floats(0.01, 10)
DRAWN = st.dictionaries(
    st.sampled_from("abcd"), st.tuples(COUNTS, WEIGHTS, st.integers(1, 4)), min_size=1
)

Drawn = dict[str, tuple[list[int], float, int]]


def _mix(**settings: Any) -> Mix:
    return Mix.model_validate(settings)


def _tokens(drawn: Drawn) -> dict[str, np.ndarray]:
    return {domain: np.array(counts) for domain, (counts, _, _) in drawn.items()}


def _taken(counts: np.ndarray, portion: Portion) -> int:
    """Tokens in a portion, counted one document after the other."""
    total = sum(int(counts[index % len(counts)]) for index in range(portion.documents))
    if portion.cut is None:
        return total
    last = int(counts[(portion.documents - 1) % len(counts)])
    assert 1 <= portion.cut < last
    return total - last + portion.cut


@given(DRAWN)
def test_shares_are_met_within_one_document_and_the_scarcest_domain_is_whole(
    drawn: Drawn,
) -> None:
    tokens = _tokens(drawn)
    weights = {domain: weight for domain, (_, weight, _) in drawn.items()}
    repeats = {domain: number for domain, (_, _, number) in drawn.items()}
    taken = portions(tokens, _mix(weights=weights, max_repeats=repeats))
    reach = {name: repeats[name] * tokens[name].sum() / weights[name] for name in weights}
    scarcest = min(reach, key=lambda domain: reach[domain])
    assert taken[scarcest] == Portion(repeats[scarcest] * len(tokens[scarcest]))
    for domain, portion in taken.items():
        assert portion.cut is None
        assert 1 <= portion.documents <= repeats[domain] * len(tokens[domain])
        distance = abs(_taken(tokens[domain], portion) - weights[domain] * reach[scarcest])
        assert distance <= tokens[domain].max()


@given(DRAWN, st.floats(0.01, 1))
def test_a_budget_is_met_to_the_token(drawn: Drawn, part: float) -> None:
    tokens = _tokens(drawn)
    weights = {domain: weight for domain, (_, weight, _) in drawn.items()}
    repeats = {domain: number for domain, (_, _, number) in drawn.items()}
    whole = sum(weights.values())
    largest = min(repeats[d] * tokens[d].sum() * whole / weights[d] for d in weights)
    budget = max(1, int(part * largest * (1 - 1e-12)))
    taken = portions(tokens, _mix(weights=weights, max_repeats=repeats, tokens=budget))
    found = {domain: _taken(tokens[domain], portion) for domain, portion in taken.items()}
    assert sum(found.values()) == budget
    for domain, weight in weights.items():
        assert abs(found.get(domain, 0) - budget * weight / whole) < 1 + 1e-6
        if domain in taken:
            assert taken[domain].documents <= repeats[domain] * len(tokens[domain])


def test_what_cant_be_reached_names_the_domain_and_the_largest_budget() -> None:
    tokens = {"a": np.array([60, 40]), "b": np.array([1000])}
    settings: dict[str, Any] = {"weights": {"a": 1, "b": 3}, "max_repeats": {"a": 2}}
    with pytest.raises(InputError, match=r"801 tokens, for which domain 'a' .* at most 800 tokens"):
        portions(tokens, _mix(**settings, tokens=801))
    taken = portions(tokens, _mix(**settings, tokens=800))
    assert taken == {"a": Portion(4), "b": Portion(1, cut=600)}


def test_uniform_natural_and_what_lies_between() -> None:
    tokens = {"a": 800, "b": 200}
    assert mixed_shares(tokens, _mix(weights="uniform")) == {"a": 0.5, "b": 0.5}
    assert mixed_shares(tokens, _mix(weights="natural")) == pytest.approx({"a": 0.8, "b": 0.2})
    # The square roots of 4 and 1.
    half = mixed_shares(tokens, _mix(temperature=2.0))
    assert half == pytest.approx({"a": 2 / 3, "b": 1 / 3})
    flat = mixed_shares(tokens, _mix(temperature=1e9))
    assert flat == pytest.approx({"a": 0.5, "b": 0.5})
    assert mixed_shares(tokens, _mix(temperature=1e-3)) == pytest.approx({"a": 1, "b": 0})


def test_a_natural_mix_takes_everything() -> None:
    tokens = {"a": np.array([5, 5, 5]), "b": np.array([7])}
    assert portions(tokens, _mix(weights="natural")) == {"a": Portion(3), "b": Portion(1)}


def test_domains_left_out() -> None:
    tokens = {"a": np.array([5, 5]), "b": np.array([5, 5]), "c": np.array([1])}
    assert portions(tokens, Mix.model_validate({"a": 1, "b": 2})) == {
        "a": Portion(1),
        "b": Portion(2),
    }
    assert set(portions(tokens, _mix(weights="natural", without=("c",)))) == {"a", "b"}
    with pytest.raises(InputError, match="every domain is left out"):
        portions(tokens, _mix(without=("a", "b", "c")))


@pytest.mark.parametrize("tokens", [{"a": np.array([3])}, {"a": np.array([3]), "b": np.array([])}])
@pytest.mark.parametrize("settings", [{"weights": {"a": 1, "b": 1}}, {"without": ("b",)}])
def test_a_missing_domain_is_named(tokens: dict[str, np.ndarray], settings: Any) -> None:
    with pytest.raises(InputError, match="mix names domain 'b', .* expected domains among a, fix"):
        portions(tokens, _mix(**settings))


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"weights": "unifrom"}, ("weights",)),
        ({"weights": {}}, ("weights",)),
        ({"weights": {"a": -1}}, ("weights",)),
        ({"weights": "uniform", "temperature": 2.0}, ()),
        ({"a": "much"}, ("weights",)),
        ({"max_repeats": 0}, ("max_repeats",)),
        ({"max_repeats": {"a": 0.5}}, ("max_repeats",)),
        ({"tokens": 0}, ("tokens",)),
        ({"tokens": 5, "a": 1}, ("a",)),
    ],
)
def test_a_wrong_mix_is_refused_in_its_place(settings: Any, place: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        Mix.model_validate(settings)
    assert caught.value.errors()[0]["loc"][: len(place)] == place


def test_shares_add_up() -> None:
    assert shares({"a": 1, "b": 3}) == {"a": 0.25, "b": 0.75}
