import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recipes.made_up import prose

from curricle.recipes.sources import package_files
from curricle.recipes.sources.package_files import (
    description_of,
    is_minified,
    is_prose,
    kind_of_path,
    parts_of,
)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("pack/a.py", "python"),
        ("pack/license.py", "python"),
        ("pack/include/a.hpp", "headers"),
        ("pack/a.cuh", "headers"),
        ("pack/static/a.mjs", "javascript"),
        ("pack/guide.rst", "prose"),
        ("pack-1.0.dist-info/METADATA", "prose"),
        ("pack-1.0.dist-info/licenses/LICENSE", "licences"),
        ("pack-1.0.dist-info/licenses/LICENSE.APACHE", "licences"),
        ("pack-1.0.dist-info/licenses/licence.md", "licences"),
        ("pack/COPYING.LESSER", "licences"),
        ("pack/NOTICE.txt", "licences"),
        ("pack/static/3273.chunk.js.LICENSE.txt", None),
        ("pack/license.json", None),
        ("pack/LICENSE.html", None),
        ("pack/a.so", None),
        ("pack/METADATA", None),
        ("pack-1.0.dist-info/RECORD", None),
    ],
)
def test_names_decide_the_domain(path: str, kind: str | None) -> None:
    assert kind_of_path(path) == kind


def test_descriptions_follow_the_first_empty_line() -> None:
    assert description_of("Name: x\nVersion: 1\n\nFirst.\n\nSecond.") == "First.\n\nSecond."
    assert description_of("Name: x\r\n\r\nText\r\n") == "Text\n"
    assert description_of("Name: x\n") == ""


def test_minified_files_are_told_by_name_and_lines() -> None:
    readable = "function f(x) {\n  return x + 1;\n}\n" * 20
    assert not is_minified("a/f.js", readable)
    assert not is_minified("a/f.js", readable * 10 + "x" * 2_000 + "\n")
    assert is_minified("a/f.min.js", readable)
    assert is_minified("a/f.js", "x=1;" * 1_000)
    assert is_minified("a/f.js", readable * 100 + "x" * 3_000)
    assert is_minified("a/f.js", ("var a=1;" * 20 + "\n") * 9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "alpha\nbeta\ngamma\n" * 30,
        "0.25 0.75 1.5\n" * 30,
        "[console_scripts]\nfoo = foo.bar:main\n" * 5,
        "one two three four five\n" * 30,
    ],
)
def test_tables_and_lists_are_no_prose(text: str) -> None:
    assert not is_prose(text)


def test_sentences_are_prose() -> None:
    assert is_prose(prose(1))
    assert is_prose("# Title\n\nA short text, \u201cquoted (so).\u201d\nIt has three lines.\n")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30)))
def test_parts_join_to_the_text_and_end_at_lines(pieces: list[str]) -> None:
    text = "\n".join(pieces)
    limit = 25
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package_files, "MAXIMUM_CHARACTERS", limit)
        parts = list(parts_of(text))
    assert "".join(parts) == text
    assert all(len(part) <= limit for part in parts)
    assert all(part.endswith("\n") or len(part) == limit for part in parts[:-1])
