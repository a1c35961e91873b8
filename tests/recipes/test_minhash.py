import itertools
import tempfile
import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tests.recipes.engines import Pickling
from tests.recipes.made_up import SEVEN_DOMAINS, WORDS, jaccard, prose, table_of, word_ngrams

from curricle.recipes import engine as engine_module
from curricle.recipes import lsh, shuffle
from curricle.recipes import near_duplicates as near_duplicates_module
from curricle.recipes.document_file import Documents
from curricle.recipes.engine import IN_PROCESS, Engine, Work
from curricle.recipes.jaccard import exact_jaccard
from curricle.recipes.measuring import measure
from curricle.recipes.minhash import MinHashSettings
from curricle.recipes.near_duplicates import Clusters, Search, find_clusters, roots, unite
from curricle.recipes.pairs import EstimatedSimilarity
from curricle.recipes.shingles import shingle
from curricle.recipes.specs.measurements import MinHashSignatures

SETTINGS = MinHashSettings(threshold=0.7)


def near_duplicates(
    texts: list[str],
    settings: MinHashSettings = SETTINGS,
    groups: list[int] | None = None,
    engine: Engine = IN_PROCESS,
) -> Clusters:
    documents = Documents(table_of({f"{n:05}": text for n, text in enumerate(texts)}))
    shape = lsh.Shape(settings.bands, settings.rows)
    search = Search(shape, settings.threshold, settings.ngram)
    of_texts = np.zeros(len(texts), np.int64) if groups is None else np.array(groups)
    with tempfile.TemporaryDirectory() as folder:
        work = Work(engine, Path(folder))
        spec = MinHashSignatures(ngram=settings.ngram, permutations=shape.bands * shape.rows)
        measure(spec, documents, Path(folder))
        return find_clusters(search, documents, Path(folder), of_texts, work)


def near_duplicate_clusters(texts: list[str], settings: MinHashSettings) -> npt.NDArray[np.int64]:
    """For each text the smallest index in its cluster."""
    return near_duplicates(texts, settings).labels


def variants(seed: int, changes: int, words: int = 200) -> tuple[str, str]:
    """A text and a copy of it with some words replaced."""
    draw = np.random.default_rng(seed)
    text = prose(seed, words).split()
    copy = list(text)
    for position in draw.choice(len(text), changes, replace=False):
        copy[position] = str(draw.choice(WORDS)) + "x"
    return " ".join(text), " ".join(copy)


def brute_force_clusters(texts: list[str], threshold: float) -> list[int]:
    smallest = list(range(len(texts)))
    pairs = [
        pair
        for pair in itertools.combinations(range(len(texts)), 2)
        if jaccard(texts[pair[0]], texts[pair[1]]) >= threshold
    ]
    for _ in texts:
        for left, right in pairs:
            smallest[left] = smallest[right] = min(smallest[left], smallest[right])
    return smallest


def test_exact_jaccard_is_that_of_sets_of_tuples() -> None:
    texts = [text for seed in range(8) for text in variants(seed, 2 * seed)]
    pairs = np.array(list(itertools.combinations(range(len(texts)), 2)))
    expected = [jaccard(texts[left], texts[right]) for left, right in pairs]
    assert exact_jaccard(shingle(texts, 5), pairs) == pytest.approx(expected, abs=1e-12)


def test_clusters_are_those_of_brute_force() -> None:
    # One change in 200 words leaves a similarity of 0.95, six one of about 0.75: near-certain
    # candidates, and on the other side of the threshold nothing that verification lets through.
    texts = [text for seed in range(30) for text in variants(seed, (0, 1, 2, 30)[seed % 4])]
    assert near_duplicate_clusters(texts, SETTINGS).tolist() == brute_force_clusters(texts, 0.7)


def test_short_texts_are_compared_whole_and_wordless_ones_never() -> None:
    texts = ["Two words", "two WORDS!", "two", "...", "...", "", ""]
    assert near_duplicate_clusters(texts, SETTINGS).tolist() == [0, 0, 2, 3, 4, 5, 6]


def test_a_large_family_stays_one_cluster() -> None:
    base = prose(1, 400).split()
    family = [" ".join([*base[:200], f"holder{number}", *base[200:]]) for number in range(150)]
    assert set(near_duplicate_clusters([*family, prose(2)], SETTINGS)) == {0, 150}


def test_chains_of_similar_documents_are_one_cluster() -> None:
    words = prose(5, 300).split()
    chain = [" ".join(words[start : start + 240]) for start in (0, 20, 40, 60)]
    assert jaccard(chain[0], chain[3]) < 0.7 < jaccard(chain[0], chain[1])
    assert near_duplicate_clusters(chain, SETTINGS).tolist() == [0, 0, 0, 0]


def test_signatures_estimate_the_similarity(tmp_path: Path) -> None:
    pairs = [variants(seed, 4) for seed in range(40)]
    documents = Documents(table_of({str(n): text for n, text in enumerate(sum(pairs, ()))}))
    measure(MinHashSignatures(ngram=5, permutations=112), documents, tmp_path)
    exact = [jaccard(*pair) for pair in pairs]
    estimated = EstimatedSimilarity(tmp_path)(np.arange(80).reshape(40, 2))
    # A share of 112 equal hashes has a standard deviation of at most 0.047; here is the mean of 40.
    assert np.mean(estimated - exact) == pytest.approx(0, abs=0.03)


def test_only_documents_of_one_group_are_compared() -> None:
    clusters = near_duplicates([prose(1), prose(1), prose(1), prose(2)], groups=[0, 0, 1, 1])
    assert clusters.labels.tolist() == [0, 0, 2, 3]
    assert np.array_equal(clusters.similarity, [1, 1, np.nan, np.nan], equal_nan=True)


@pytest.mark.parametrize("verified", [True, False])
def test_blocks_partitions_and_engines_dont_change_the_clusters(
    monkeypatch: pytest.MonkeyPatch, verified: bool
) -> None:
    texts = [text for seed in range(40) for text in variants(seed, (0, 1, 2, 30)[seed % 4])]
    texts += [prose(1, 200).replace("road", f"road{number}") for number in range(20)]
    settings = MinHashSettings() if verified else MinHashSettings(threshold=0.0)
    whole = near_duplicates(texts, settings)
    monkeypatch.setattr(near_duplicates_module, "BLOCK_ROWS", 7)
    monkeypatch.setattr(shuffle, "PARTITION_BYTES", 400)
    monkeypatch.setattr(engine_module, "LEAST_BYTES", 500)
    engine = Pickling()
    parts = near_duplicates(texts, settings, engine=engine)
    assert engine.mapped > 30
    assert np.array_equal(parts.labels, whole.labels)
    assert np.array_equal(parts.similarity, whole.similarity, equal_nan=True)
    assert len(set(whole.labels.tolist())) < len(texts) - 30


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=60))
def test_united_labels_are_the_components_of_scipy(
    nodes: int, edges: list[tuple[int, int]]
) -> None:
    pairs = np.array([(a % nodes, b % nodes) for a, b in edges], np.int64).reshape(-1, 2)
    labels = np.arange(nodes)
    for part in np.array_split(pairs, 3):
        unite(labels, part)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
    components = connected_components(graph, directed=False)[1]
    smallest = [int(np.flatnonzero(components == one)[0]) for one in components]
    assert roots(labels, np.arange(nodes)).tolist() == smallest


def _close_pairs(texts: list[str]) -> dict[tuple[int, int], float]:
    """Pairs at 0.7 or more among those sharing one of their 60 smallest hashes, by other means."""
    sets = [set(word_ngrams(text, 5)) for text in texts]
    holders = defaultdict(list)
    for document, members in enumerate(sets):
        for words in sorted(members, key=lambda one: zlib.crc32(" ".join(one).encode()))[:60]:
            holders[words].append(document)
    candidates = {
        pair for group in holders.values() for pair in itertools.combinations(group[:50], 2)
    }
    similarity = {
        (left, right): len(sets[left] & sets[right]) / len(sets[left] | sets[right])
        for left, right in candidates
    }
    return {pair: value for pair, value in similarity.items() if value >= 0.7}


@pytest.mark.skipif(not SEVEN_DOMAINS.exists(), reason="needs ../shared/data")
def test_near_duplicates_of_the_seven_domains_are_found() -> None:
    table = pq.read_table(SEVEN_DOMAINS / "corpus_train.parquet", columns=["text", "domain"])
    wanted = [domain == "StackExchange" for domain in table["domain"].to_pylist()]
    texts = [text for text, keep in zip(table["text"].to_pylist(), wanted, strict=True) if keep]
    clusters = near_duplicate_clusters(texts, SETTINGS)
    pairs = _close_pairs(texts)
    joined = {pair: clusters[pair[0]] == clusters[pair[1]] for pair in pairs}
    assert all(joined[pair] for pair, value in pairs.items() if value >= 0.9)
    likely = [joined[pair] for pair, value in pairs.items() if value >= 0.8]
    assert len(likely) > 100
    # A pair at 0.8 is found with probability 1 - (1 - 0.8^8)^14 = 0.92, most lie far above.
    assert np.mean(likely) >= 0.97
    alone = set(np.flatnonzero(np.bincount(clusters, minlength=len(texts))[clusters] > 1))
    assert alone <= {document for pair in pairs for document in pair}
