import pyarrow as pa
import pytest
from pydantic import ValidationError
from tests.recipes.made_up import apply, step_of, table_of

DOCUMENTS = pa.concat_tables(
    [
        table_of({"web/1": "a", "web/2": "b", "[x]": "c"}, "web"),
        table_of({"code/1": "d", "web.code/2": "e"}, "code"),
    ]
)


def test_domains_are_chosen_by_name() -> None:
    applied = apply(step_of(step="select", domains=("code", "absent")), DOCUMENTS)
    assert applied.ids == ["code/1", "web.code/2"]
    assert applied.account["dropped"] == {"other-domain": {"web": 3}}


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        (("web/*",), ["web/1", "web/2"]),
        (("*/2", "code*"), ["web/2", "code/1", "web.code/2"]),
        (("web?1", "[[]x]"), ["web/1", "[x]"]),
    ],
)
def test_sources_are_chosen_by_patterns(patterns: tuple[str, ...], kept: list[str]) -> None:
    applied = apply(step_of(step="select", source_patterns=patterns), DOCUMENTS)
    assert applied.ids == kept
    assert set(applied.account["dropped"]) == {"other-source"}


def test_both_have_to_hold() -> None:
    step = step_of(step="select", domains=("web",), source_patterns=("*/2",))
    applied = apply(step, DOCUMENTS)
    assert applied.ids == ["web/2"]
    assert applied.account["dropped"] == {
        "other-domain": {"code": 2},
        "other-source": {"web": 2},
    }


def test_a_selection_of_nothing_in_particular_is_refused() -> None:
    with pytest.raises(ValidationError, match="select without"):
        step_of(step="select")
