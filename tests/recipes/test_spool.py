import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricle.recipes import spool
from curricle.recipes.spool import Spool, Spooled, in_portions


def _documents(count: int) -> list[Spooled]:
    draw = random.Random(0)
    return [
        Spooled(
            draw.choice("abc"), f"{number * 7919 % count}", "c", "s", 0.5, "x" * draw.randrange(99)
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("run_bytes", [1, 500, 1 << 20])
def test_documents_come_back_sorted_however_many_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_bytes: int
) -> None:
    monkeypatch.setattr(spool, "RUN_BYTES", run_bytes)
    documents, filled = _documents(300), Spool(tmp_path)
    for document in documents:
        filled.add(document)
    assert list(filled) == list(filled) == sorted(documents)


def test_a_spool_may_be_empty(tmp_path: Path) -> None:
    assert list(Spool(tmp_path)) == []


@given(st.lists(st.text(max_size=20)), st.integers(1, 40), st.integers(1, 5))
def test_portions_hold_everything_and_end_in_time(texts: list[str], size: int, rows: int) -> None:
    documents = [Spooled("d", str(n), "c", "s", 0.0, text) for n, text in enumerate(texts)]
    portions = list(in_portions(documents, size, rows))
    assert [one for portion in portions for one in portion] == documents
    for portion in portions:
        assert 1 <= len(portion) <= rows
        assert sum(len(one.text) for one in portion[:-1]) < size
