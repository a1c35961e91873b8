import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricle.core.errors import InputError
from curricle.recipes.mixing import leading_documents, shares

COUNTS = st.lists(st.integers(1, 500), min_size=1, max_size=40)
WEIGHTS = st.floats(0.01, 10)


@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(COUNTS, WEIGHTS), min_size=1))
def test_shares_are_met_within_one_document_and_the_scarcest_domain_is_whole(
    drawn: dict[str, tuple[list[int], float]],
) -> None:
    tokens = {domain: np.array(counts) for domain, (counts, _) in drawn.items()}
    mix = {domain: weight for domain, (_, weight) in drawn.items()}
    taken = leading_documents(tokens, mix)
    total = min(tokens[domain].sum() / mix[domain] for domain in mix)
    scarcest = min(mix, key=lambda domain: float(tokens[domain].sum() / mix[domain]))
    assert taken[scarcest] == len(tokens[scarcest])
    for domain, number in taken.items():
        assert 1 <= number <= len(tokens[domain])
        distance = abs(tokens[domain][:number].sum() - mix[domain] * total)
        assert distance <= tokens[domain].max()


def test_domains_outside_the_mix_are_left_out() -> None:
    tokens = {"a": np.array([5, 5]), "b": np.array([5, 5]), "c": np.array([1])}
    assert leading_documents(tokens, {"a": 1, "b": 2}) == {"a": 1, "b": 2}


@pytest.mark.parametrize("tokens", [{"a": np.array([3])}, {"a": np.array([3]), "b": np.array([])}])
def test_a_missing_domain_is_named(tokens: dict[str, np.ndarray]) -> None:
    with pytest.raises(InputError, match="mix names domain 'b', .* expected domains among a, fix"):
        leading_documents(tokens, {"a": 1, "b": 1})


def test_shares_add_up() -> None:
    assert shares({"a": 1, "b": 3}) == {"a": 0.25, "b": 0.75}
