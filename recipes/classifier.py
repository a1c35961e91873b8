"""A quality classifier: logistic regression over hashed word n-grams.

Features are the n-grams of `shingles.py`, hashed into a fixed number of columns and scaled to unit
length; scikit-learn fits the weights. Only arrays are stored, and nothing is unpickled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from curricle.recipes.shingles import shingle
from curricle.recipes.specs.measurements import QualityClassifier

CLASSIFIER = "classifier.npz"

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Classifier:
    """`weights` (features,), `bias`; n-grams of 1 to `ngram` words."""

    weights: Values
    bias: float
    ngram: int

    def probabilities(self, texts: Sequence[str]) -> Values:
        """Of each text, that it is good rather than bad; shape (texts,)."""
        scores = _features(texts, self.ngram, len(self.weights)) @ self.weights + self.bias
        return np.asarray(1 / (1 + np.exp(-scores)), dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Store the arrays."""
        np.savez(folder / CLASSIFIER, weights=self.weights, bias=self.bias, ngram=self.ngram)


def load_classifier(folder: Path) -> Classifier:
    """A stored classifier."""
    with np.load(folder / CLASSIFIER, allow_pickle=False) as stored:
        return Classifier(stored["weights"], float(stored["bias"]), int(stored["ngram"]))


def train_classifier(
    good: Sequence[str], bad: Sequence[str], spec: QualityClassifier
) -> Classifier:
    """Fit to texts; both classes have the same weight however many texts they have."""
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    features = _features([*good, *bad], spec.ngram, spec.features)
    labels = np.repeat([1, 0], [len(good), len(bad)])
    model = LogisticRegression(
        C=1 / spec.regularization, class_weight="balanced", max_iter=1000, tol=1e-6
    )
    model.fit(features, labels)
    return Classifier(model.coef_[0].astype(np.float64), float(model.intercept_[0]), spec.ngram)


def _features(texts: Sequence[str], ngram: int, columns: int) -> csr_array:
    """Counts of hashed n-grams, each text scaled to length 1; shape (texts, columns)."""
    rows, places = [], []
    for size in range(1, ngram + 1):
        shingles = shingle(texts, size)
        rows.append(np.repeat(np.arange(len(texts)), shingles.lengths()))
        places.append((shingles.hashes % np.uint64(columns)).astype(np.int64))
    row, place = np.concatenate(rows), np.concatenate(places)
    shape = (len(texts), columns)
    counts = coo_array((np.ones(len(row)), (row, place)), shape=shape).tocsr()
    lengths = np.sqrt(counts.multiply(counts).sum(axis=1))
    counts.data /= np.repeat(np.maximum(lengths, 1), np.diff(counts.indptr))
    return counts
