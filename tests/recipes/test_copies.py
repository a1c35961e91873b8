from tests.recipes.made_up import jaccard, prose

from curricle.recipes.copies import CopyFinder
from curricle.recipes.minhash import MinHashSettings

SETTINGS = MinHashSettings(ngram=5, bands=32, rows=4, threshold=0.7)


def _edited(text: str, seed: int) -> str:
    words = text.split(" ")
    for place in range(seed, len(words), 29):
        words[place] = "replaced"
    return " ".join(words)


def test_near_copies_are_those_above_the_threshold() -> None:
    references = [prose(seed, 150) for seed in range(20)]
    texts = [_edited(text, seed) for seed, text in enumerate(references)]
    texts += [prose(seed, 150) for seed in range(100, 120)]
    expected = [max(jaccard(text, one) for one in references) >= 0.7 for text in texts]
    assert {True, False} == set(expected)
    # Batches of references and of texts change nothing.
    finder = CopyFinder([references[:7], references[7:]], SETTINGS)
    found = [*finder.find(texts[:13]), *finder.find(texts[13:])]
    assert found == expected


def test_texts_without_words_are_copies_only_of_the_same() -> None:
    finder = CopyFinder([["+-+-", "one two three"]], SETTINGS)
    assert finder.find([" +-+- ", "*-*-", "", "ONE two three"]).tolist() == [
        *(True, False, False, True)
    ]


def test_nothing_is_a_copy_of_nothing() -> None:
    assert CopyFinder([], SETTINGS).find(["a b c", ""]).tolist() == [False, False]
    assert CopyFinder([["a b c"]], SETTINGS).find([]).tolist() == []
