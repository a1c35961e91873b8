from pathlib import Path

import pytest
from tests.recipes.conftest import Install

from curricle.recipes.sources.python_environment import python_files
from curricle.recipes.specs.sources import FilesSource, PythonEnvironmentSource
from curricle.recipes.summaries import (
    Summary,
    first_sentence,
    gives_away,
    held_out_summaries,
    read_summaries,
    write_summaries,
)

ENVIRONMENT = PythonEnvironmentSource(source="python-environment")


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("Return the sum of all numbers.", "Return the sum of all numbers"),
        ("Return the sum of\n  all numbers. More.\n\nDetails.", "Return the sum of all numbers"),
        ("Return the first 1.5 percent of rows", "Return the first 1.5 percent of rows"),
        ("Return rows of version 1.5 as text!", "Return rows of version 1.5 as text"),
        ("Return the sum of all numbers\n\nDetails.", "Return the sum of all numbers"),
        ("Too short.", None),
        ("Supercalifragilistic expialidocious.", None),
        ("lower case to begin with, as in a fragment.", None),
        ("Return the sum, see :func:`other` for more.", None),
        ("Not yet: this is not yet implemented at all.", None),
        ("A sentence that goes on for much longer " + "and longer " * 8 + "until it ends.", None),
        ("", None),
    ],
)
def test_first_sentences(docstring: str, sentence: str | None) -> None:
    assert first_sentence(docstring) == sentence


def test_names_are_recognised_however_they_are_spelt() -> None:
    assert gives_away("get_config", "Get Config from a file")
    assert gives_away("HTTPServer", "An http-server that waits")
    assert not gives_away("get_config", "Read settings from a file")


def test_summaries_come_from_held_out_files_of_the_environment(install: Install) -> None:
    code = '''
def name_{0}():
    """Compute the answer number {0} of all answers."""

def test_{0}():
    """Check the answer number {0} of all answers."""

def _private():
    """Nobody outside should ever call this."""

def answer_of():
    """The answer of whatever was asked before."""
'''
    files = {f"pack/m{number}.py": code.format(number) for number in range(20)}
    install("dist", {**files, "pack/broken.py": "def f(:", "single.py": code.format(99)})
    held_out = {"dist/pack/m3.py", "dist/pack/m7.py", "dist/pack/broken.py", "dist/single.py"}
    nothing = FilesSource(source="files", path="x", domain="web")
    found = held_out_summaries([ENVIRONMENT, nothing, ENVIRONMENT], held_out.__contains__, 0)
    assert sorted(found) == [
        Summary(subject, f"name_{number}", sentence, f"dist/{path}::name_{number}")
        for subject, number, path in (
            ("pack", 3, "pack/m3.py"),
            ("pack", 7, "pack/m7.py"),
            ("single", 99, "single.py"),
        )
        for sentence in [f"Compute the answer number {number} of all answers"]
    ]
    order = [file.key for file in python_files(ENVIRONMENT, 0) if file.key in held_out]
    assert [one.source.partition("::")[0] for one in found] == [
        key for key in order if "broken" not in key
    ]


def test_the_search_ends_at_its_limit(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    code = 'def f{0}():\n    """Compute the answer of all the answers {0}x."""\n'
    install("dist", {f"pack/m{n}.py": code.format(n) for n in range(50)})
    monkeypatch.setattr("curricle.recipes.summaries.MINIMUM_MEGABYTES", 0.001)
    small = ENVIRONMENT.model_copy(update={"megabytes_per_domain": 0.0001})
    found = held_out_summaries([small], lambda _: True, 0)
    size = len(code.format(10))
    assert len(found) == pytest.approx(1_000 / size, abs=2)


def test_summaries_come_back_equal(tmp_path: Path) -> None:
    summaries = [Summary("s", "n", "What it does", "x::n")]
    for content in (summaries, []):
        write_summaries(tmp_path / "s.parquet", content)
        assert read_summaries(tmp_path / "s.parquet") == content
