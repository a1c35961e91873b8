from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from tests.recipes.made_up import apply, jaccard, prose, step_of, table_of

TEXTS = {f"{seed:03}": prose(seed, 200) for seed in range(200)}


def test_copies_are_added_behind_their_originals() -> None:
    applied = apply(step_of(step="duplicate-documents", share=0.3, near=0.5), table_of(TEXTS))
    copies = [one for one in applied.ids if "#copy-" in one]
    assert [one for one in applied.ids if "#" not in one] == list(TEXTS)
    assert applied.account == {
        "step": "duplicate-documents",
        "seen": 200,
        "kept": 200,
        "dropped": {},
        "added": len(copies),
    }
    # 200 draws with probability 3/7: a share of 0.3 with a standard deviation of 0.017.
    assert abs(len(copies) / len(applied.ids) - 0.3) < 0.06
    made = dict(zip(applied.ids, applied.table["text"].to_pylist(), strict=True))
    similarities = [jaccard(made[one], TEXTS[one.split("#")[0]]) for one in copies]
    kinds = Counter("exact" if similarity == 1 else "near" for similarity in similarities)
    assert min(kinds.values()) > 20
    # Four replacements, of up to two words each, touch at most 24 of 196 5-grams on either side.
    assert all(similarity >= 172 / 220 for similarity in similarities)


def test_near_copies_differ_in_how_near_they_are() -> None:
    step = step_of(step="duplicate-documents", share=0.5, near=1.0, edits=0.1)
    applied = apply(step, table_of(TEXTS))
    made = zip(applied.ids, applied.table["text"].to_pylist(), strict=True)
    near = [jaccard(text, TEXTS[one.split("#")[0]]) for one, text in made if "#" in one]
    # A share e of the words leaves (1 - e)^5 of the 5-grams whole: from 0.41 up to 1.
    counts, _ = np.histogram(near, bins=[0.35, 0.5, 0.7, 0.8, 0.9, 1.0])
    assert min(counts) > len(near) // 25
    assert sum(counts) == len(near)


def test_deduplication_removes_what_was_added() -> None:
    more = apply(step_of(step="duplicate-documents", share=0.6), table_of(TEXTS)).table
    assert more.num_rows > 400
    assert apply(step_of(step="minhash-dedup", threshold=0.7), more).ids == list(TEXTS)


def test_copies_depend_on_seed_and_id_alone() -> None:
    step = step_of(step="duplicate-documents")
    documents = table_of(TEXTS)
    whole = apply(step, documents, 1).table
    halves = [apply(step, part, 1).table for part in (documents[:77], documents[77:])]
    assert whole.equals(pa.concat_tables(halves))
    assert not whole.equals(apply(step, documents, 2).table)


def test_foreign_texts_replace_a_share(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("From elsewhere.")
    source = {"source": "files", "path": str(tmp_path), "domain": "other"}
    applied = apply(step_of(step="foreign-domain", source=source, share=0.4), table_of(TEXTS))
    assert applied.ids == list(TEXTS)
    foreign = applied.table["text"].to_pylist().count("From elsewhere.")
    assert 50 < foreign < 110
    assert applied.account["changed"] == {"texts replaced": {"prose": foreign}}
