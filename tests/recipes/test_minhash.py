import functools
import itertools
import zlib
from collections import defaultdict

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
from tests.recipes.made_up import SEVEN_DOMAINS, WORDS, jaccard, prose, word_ngrams

from curricle.recipes import lsh
from curricle.recipes.jaccard import exact_jaccard
from curricle.recipes.minhash import (
    MinHashSettings,
    Signatures,
    estimated_similarity,
    find_clusters,
    sign,
)
from curricle.recipes.shingles import shingle

SETTINGS = MinHashSettings(threshold=0.7)


def near_duplicate_clusters(texts: list[str], settings: MinHashSettings) -> npt.NDArray[np.int64]:
    """For each text the smallest index in its cluster."""
    shingles = shingle(texts, settings.ngram)
    signatures = sign(shingles, settings.bands * settings.rows)
    clusters = find_clusters(
        signatures,
        np.zeros(len(texts), dtype=np.int64),
        lsh.Shape(settings.bands, settings.rows),
        functools.partial(exact_jaccard, shingles),
        settings.threshold,
    )
    _, first, member = np.unique(clusters.labels, return_index=True, return_inverse=True)
    return first[member]


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


def test_signatures_estimate_the_similarity() -> None:
    pairs = [variants(seed, 4) for seed in range(40)]
    signatures = sign(shingle([text for pair in pairs for text in pair], 5), 112)
    indices = np.arange(80).reshape(40, 2)
    exact = [jaccard(*pair) for pair in pairs]
    estimated = estimated_similarity(signatures, indices)
    # A share of 112 equal hashes has a standard deviation of at most 0.047; here is the mean of 40.
    assert np.mean(estimated - exact) == pytest.approx(0, abs=0.03)


def test_only_documents_of_one_group_are_compared() -> None:
    texts = [prose(1), prose(1), prose(1), prose(2)]
    shingles = shingle(texts, 5)
    clusters = find_clusters(
        Signatures.join([sign(shingle(texts[:1], 5), 16), sign(shingle(texts[1:], 5), 16)]),
        np.array([0, 0, 1, 1]),
        lsh.Shape(8, 2),
        functools.partial(exact_jaccard, shingles),
        0.7,
    )
    assert clusters.labels[0] == clusters.labels[1] != clusters.labels[2]
    assert np.array_equal(clusters.similarity, [1, 1, np.nan, np.nan], equal_nan=True)


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
