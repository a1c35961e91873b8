import itertools
import zlib
from collections import defaultdict

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.recipes.made_up import SEVEN_DOMAINS, WORDS, jaccard, prose, word_ngrams

from curricle.recipes.minhash import (
    MinHashSettings,
    copies_of,
    exact_jaccard,
    near_duplicate_clusters,
)
from curricle.recipes.shingles import shingle

SETTINGS = MinHashSettings(threshold=0.7)


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


def test_copies_of_references_are_found_and_others_not() -> None:
    pairs = [variants(seed, 2) for seed in range(40)]
    references = [text for text, _ in pairs[:20]]
    texts = [copy for _, copy in pairs] + references[:3] + ["", "..."]
    expected = [max(jaccard(text, other) for other in references) >= 0.7 for text in texts]
    settings = MinHashSettings(bands=32, rows=4, threshold=0.7)
    assert copies_of(texts, references, settings).tolist() == expected
    assert sum(expected) == 23


def test_nothing_is_a_copy_of_no_references() -> None:
    assert copies_of(["a b c", ""], [], SETTINGS).tolist() == [False, False]
    assert copies_of([], ["a b c"], SETTINGS).tolist() == []


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
