import pytest
from tests.recipes.made_up import apply, step_of, table_of

GOOD = ["This line has enough words.", "So does this one!", "And here is a third?"]


def c4_of(text: str, **settings: object) -> tuple[str | None, dict[str, str]]:
    """What is left of a text, or None, and the reasons for drops."""
    documents = table_of({"it": text, "other": "\n".join(GOOD)})
    step = step_of(step="c4", **{"minimum_sentences": 3, **settings})
    applied = apply(step, documents)
    left = dict(zip(applied.ids, applied.table["text"].to_pylist(), strict=True))
    return left.get("it"), applied.reasons


@pytest.mark.parametrize(
    "line",
    [
        "This has no mark at its end",
        "This trails off...",
        "Two words.",
        f"One of them is {'long' * 300}.",
        "Please turn on JavaScript to go on.",
        "See our Terms of Use for more.",
        "This site uses cookies for itself.",
    ],
)
def test_bad_lines_are_removed_and_the_others_stay(line: str) -> None:
    left, reasons = c4_of("\n".join([GOOD[0], line, *GOOD[1:]]))
    assert left == "\n".join(GOOD)
    assert reasons == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n".join([*GOOD, "Lorem ipsum dolor sit amet."]), "lorem-ipsum"),
        ("\n".join([*GOOD, "if (x) { return 1. }."]), "curly-bracket"),
        ("\n".join(GOOD[:2]), "minimum-sentences"),
        ("no line here ends well\n" * 9, "minimum-sentences"),
    ],
)
def test_documents_are_dropped_for_a_reason(text: str, reason: str) -> None:
    assert c4_of(text) == (None, {"it": reason})


def test_braces_in_lines_that_go_anyway_dont_matter() -> None:
    assert c4_of("\n".join(["int main() {", *GOOD]))[0] == "\n".join(GOOD)


def test_sentences_count_not_lines() -> None:
    text = "One sentence here. Another one there. And a third."
    assert c4_of(text)[0] == text
    assert c4_of("One sentence here. Another one there.") == (None, {"it": "minimum-sentences"})


def test_citation_marks_and_indentation_go() -> None:
    text = "  It was so[12] in 1999.[citation needed]\n" + "\n".join(GOOD)
    assert c4_of(text)[0] == "It was so in 1999.\n" + "\n".join(GOOD)


def test_removed_lines_are_counted_by_reason() -> None:
    documents = table_of({"it": "\n".join([*GOOD, "Menu", "Home", "Two words."])})
    account = apply(step_of(step="c4", minimum_sentences=3), documents).account
    assert account["changed"] == {
        "lines removed: few-words": {"prose": 1},
        "lines removed: no-terminal-mark": {"prose": 2},
    }
