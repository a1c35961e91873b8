import pyarrow as pa
from tests.recipes.made_up import apply, prose, step_of, table_of

FOOTER = "Copyright by the authors, all rights reserved."


def test_lines_of_earlier_documents_go_and_first_ones_stay() -> None:
    texts = {"a": f"{prose(1)}{FOOTER}\n", "b": f"{prose(2)}  {FOOTER.upper()} \n{prose(3)}"}
    applied = apply(step_of(step="line-dedup"), table_of(texts))
    assert applied.table["text"].to_pylist() == [texts["a"], prose(2) + prose(3)]
    assert applied.account["changed"] == {"lines removed": {"prose": 1}}
    assert applied.account["dropped"] == {}


def test_short_lines_and_repeats_inside_a_document_stay() -> None:
    texts = {"a": f"{FOOTER}\n{FOOTER}\n}}\n", "b": f"{prose(1)}}}\n"}
    applied = apply(step_of(step="line-dedup"), table_of(texts))
    assert applied.table["text"].to_pylist() == list(texts.values())
    assert "changed" not in applied.account


def test_documents_of_which_too_little_is_left_are_dropped() -> None:
    texts = {"a": prose(1), "b": prose(1) + "x\n", "c": prose(1), "d": prose(1)[:40] + prose(2)}
    applied = apply(step_of(step="line-dedup"), table_of(texts))
    assert applied.ids == ["a", "d"]
    by_id = {example.id: example for example in applied.dropped}
    assert {example.reason for example in applied.dropped} == {"minimum-kept-share"}
    assert by_id["c"].value == 0
    assert 0 < (by_id["b"].value or 0) < 0.1 == by_id["b"].threshold


def test_nothing_but_white_space_is_never_left() -> None:
    texts = {"a": prose(1), "b": f"\n\n{prose(1)}\n"}
    step = step_of(step="line-dedup", minimum_kept_share=0.0)
    assert apply(step, table_of(texts)).ids == ["a"]


def test_paragraphs_are_compared_whole() -> None:
    first, second, third = (prose(seed, 20).strip() for seed in (1, 2, 3))
    texts = {
        "a": f"{first}\n\n{second}",
        "b": f"{third}\n \n\n{second}\n\n{first} more",
        "c": f"{first}\n{third}",
    }
    applied = apply(step_of(step="paragraph-dedup"), table_of(texts))
    assert applied.table["text"].to_pylist() == [
        texts["a"],
        f"{third}\n \n\n{first} more",
        texts["c"],
    ]


def test_scope_can_be_the_domain() -> None:
    documents = pa.concat_tables([table_of({"a": FOOTER}, "x"), table_of({"b": FOOTER}, "y")])
    assert apply(step_of(step="line-dedup", scope="domain"), documents).ids == ["a", "b"]
    assert apply(step_of(step="line-dedup"), documents).ids == ["a"]
