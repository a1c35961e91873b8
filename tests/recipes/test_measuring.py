from pathlib import Path

import numpy as np
import pytest
from tests.recipes.made_up import prose, table_of

from curricle.core.questions import Question, write_questions
from curricle.recipes import document_file
from curricle.recipes.classifier import load_classifier
from curricle.recipes.document_file import Documents
from curricle.recipes.measuring import measure, read_columns, read_signatures
from curricle.recipes.minhash import sign
from curricle.recipes.shingles import shingle
from curricle.recipes.specs.measurements import (
    MinHashSignatures,
    QualityClassifier,
    SharedNgrams,
    Statistics,
)
from curricle.recipes.specs.sources import FilesSource
from curricle.recipes.text_statistics import measure_texts

TEXTS = {f"{seed:02}": prose(seed, 30 + seed) for seed in range(25)}


def test_what_is_stored_is_what_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_file, "BATCH_ROWS", 10)
    names = ("words", "mtld")
    facts = measure(Statistics(names=names), Documents(table_of(TEXTS)), tmp_path)
    assert facts == {"documents": 25}
    stored, expected = read_columns(tmp_path), measure_texts(list(TEXTS.values()), names)
    assert all(np.array_equal(stored[name], expected[name]) for name in names)


def test_signatures_are_the_same_however_they_are_batched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_file, "BATCH_ROWS", 4)
    measure(MinHashSignatures(ngram=3, permutations=20), Documents(table_of(TEXTS)), tmp_path)
    stored, whole = read_signatures(tmp_path), sign(shingle(list(TEXTS.values()), 3), 20)
    assert stored.values.shape == (25, 20)
    assert np.array_equal(stored.values, whole.values)
    assert np.array_equal(stored.keys, whole.keys)
    assert np.array_equal(stored.shingles, whole.shingles)


def test_a_classifier_is_scikit_learns_on_the_same_features(tmp_path: Path) -> None:
    """Word counts by hand; columns are hashed, so as many features as never to collide."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import normalize

    good, bad = [prose(seed) for seed in range(9)], [prose(seed, 30) * 2 for seed in range(50, 65)]
    for name, texts in (("good", good), ("bad", bad)):
        (tmp_path / name).mkdir()
        for index, text in enumerate(texts):
            (tmp_path / name / f"{index:02}.txt").write_text(text)
    sources = {
        name: (FilesSource(source="files", path=str(tmp_path / name), domain="x"),)
        for name in ("good", "bad")
    }
    spec = QualityClassifier(
        good=sources["good"], bad=sources["bad"], ngram=1, features=2**20, regularization=0.5
    )
    facts = measure(spec, Documents(table_of(TEXTS)), tmp_path)
    assert (facts["good"], facts["bad"]) == (9, 15)
    vectorizer = CountVectorizer(token_pattern=r"\w+")
    features = normalize(vectorizer.fit_transform([*good, *bad]))
    model = LogisticRegression(C=2, class_weight="balanced", tol=1e-8, max_iter=1000)
    model.fit(features, [1] * 9 + [0] * 15)
    expected = model.predict_proba(normalize(vectorizer.transform(TEXTS.values())))[:, 1]
    found = read_columns(tmp_path)["good"]
    # Words that aren't in the training texts add to a text's length with us.
    assert found == pytest.approx(expected, abs=1e-3)
    again = load_classifier(tmp_path).probabilities(list(TEXTS.values()))
    assert np.array_equal(again, found)


def test_questions_and_right_answers_contaminate(tmp_path: Path) -> None:
    words = prose(1, 40).split()
    question = Question(
        "law", "test", 0, " ".join(words[:10]), ("w", " ".join(words[10:14]), "y", "z"), "B"
    )
    (tmp_path / "questions").mkdir()
    write_questions(tmp_path / "questions", [question])
    spec = SharedNgrams(questions=str(tmp_path / "questions"), ngram=12)
    texts = {
        "a": " ".join(words[:14]),
        "b": " ".join(words[:11]),
        "c": f"{' '.join(words[:12])} " * 3,
    }
    facts = measure(spec, Documents(table_of(texts)), tmp_path)
    assert read_columns(tmp_path)["shared-ngrams"].tolist() == [3, 0, 1]
    assert (facts["texts"], facts["too-short-texts"]) == (2, 1)
