import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricle.recipes import spool
from curricle.recipes.spool import RunWriter, Spool, Spooled, in_portions


def _documents(count: int) -> list[Spooled]:
    draw = random.Random(0)
    return [
        Spooled(
            draw.choice("abc"), f"{number * 7919 % count}", "c", "s", 0.5, "x" * draw.randrange(99)
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(("run_bytes", "most"), [(1, 300), (1, 7), (500, 2), (1 << 20, 1)])
def test_documents_come_back_sorted_however_many_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_bytes: int, most: int
) -> None:
    monkeypatch.setattr(spool, "RUN_BYTES", run_bytes)
    monkeypatch.setattr(spool, "MOST_RUNS", most)
    documents, writer = _documents(300), RunWriter(tmp_path / "run")
    for document in documents:
        writer.add(document)
    writer.flush()
    spooled = Spool(writer.runs)
    assert list(spooled) == list(spooled) == sorted(documents)
    assert len(list(tmp_path.iterdir())) <= most


def test_a_spool_may_be_empty() -> None:
    assert list(Spool([])) == []


@given(st.lists(st.text(max_size=20)), st.integers(1, 40), st.integers(1, 5))
def test_portions_hold_everything_and_end_in_time(texts: list[str], size: int, rows: int) -> None:
    documents = [Spooled("d", str(n), "c", "s", 0.0, text) for n, text in enumerate(texts)]
    portions = list(in_portions(documents, size, rows))
    assert [one for portion in portions for one in portion] == documents
    for portion in portions:
        assert 1 <= len(portion) <= rows
        assert sum(len(one.text) for one in portion[:-1]) < size
