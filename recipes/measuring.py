"""Measure every document of a table, in batches, and store what was found for later steps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curricle.core.errors import InputError
from curricle.core.questions import read_questions
from curricle.recipes.classifier import train_classifier
from curricle.recipes.document_file import Documents
from curricle.recipes.given_scores import given_scores
from curricle.recipes.hashing import Hashes
from curricle.recipes.minhash import Signatures, sign
from curricle.recipes.named_texts import read_texts
from curricle.recipes.shingles import shingle
from curricle.recipes.specs.measurements import (
    GivenScores,
    Measurement,
    MinHashSignatures,
    QualityClassifier,
    SharedNgrams,
    Statistics,
)
from curricle.recipes.text_statistics import measure_texts

STATISTICS = "statistics.parquet"
SIGNATURES = ("values", "keys", "shingles")
# Columns of the measurements that aren't statistics of the text.
GOOD, SHARED_NGRAMS = "good", "shared-ngrams"

Values = npt.NDArray[np.float64]
Columns = Mapping[str, Values]


def measure(measurement: Measurement, documents: Documents, folder: Path) -> dict[str, Any]:
    """Write what `measurement` asks for into `folder`; returns facts for the record."""
    match measurement:
        case Statistics(names=names):
            return _write_columns(folder, documents, lambda texts: measure_texts(texts, names))
        case MinHashSignatures():
            return _write_signatures(measurement, documents, folder)
        case QualityClassifier():
            return _classify(measurement, documents, folder)
        case SharedNgrams():
            return _count_shared(measurement, documents, folder)
        case GivenScores():
            return _look_up(measurement, documents, folder)


def column_of(measurement: Measurement) -> str:
    """The column under which a measurement that is one number a document is stored."""
    match measurement:
        case Statistics(names=(name,)):
            return name
        case GivenScores(column=column):
            return column
        case SharedNgrams():
            return SHARED_NGRAMS
    return GOOD


def read_columns(folder: Path) -> dict[str, Values]:
    """Stored statistics by name; shape (documents,) each."""
    table = pq.read_table(folder / STATISTICS)
    return {name: table[name].to_numpy() for name in table.column_names}


def read_signatures(folder: Path) -> Signatures:
    """Stored signatures."""
    return Signatures(*(np.load(folder / f"{name}.npy") for name in SIGNATURES))


def _write_columns(
    folder: Path, documents: Documents, columns_of: Callable[[Sequence[str]], Columns]
) -> dict[str, Any]:
    seen = 0
    schema = pa.schema([(name, pa.float64()) for name in columns_of([])])
    with pq.ParquetWriter(folder / STATISTICS, schema, compression="zstd") as writer:
        for batch in documents.batches(["text"]):
            writer.write_table(pa.table(dict(columns_of(batch.texts)), schema=schema))
            seen += batch.table.num_rows
    return {"documents": seen}


def _write_signatures(
    spec: MinHashSignatures, documents: Documents, folder: Path
) -> dict[str, Any]:
    parts = [sign(shingle([], spec.ngram), spec.permutations)]
    parts += [
        sign(shingle(batch.texts, spec.ngram), spec.permutations)
        for batch in documents.batches(["text"])
    ]
    signatures = Signatures.join(parts)
    for name in SIGNATURES:
        np.save(folder / f"{name}.npy", getattr(signatures, name))
    return {"documents": len(signatures)}


def _classify(spec: QualityClassifier, documents: Documents, folder: Path) -> dict[str, Any]:
    good, bad = list(read_texts(spec.good)), list(read_texts(spec.bad))
    classifier = train_classifier(good, bad, spec)
    classifier.save(folder)
    facts = _write_columns(folder, documents, lambda texts: {GOOD: classifier.probabilities(texts)})
    fit = (*(classifier.probabilities(good) >= 0.5), *(classifier.probabilities(bad) < 0.5))
    return {**facts, "good": len(good), "bad": len(bad), "training-accuracy": float(np.mean(fit))}


def _look_up(spec: GivenScores, documents: Documents, folder: Path) -> dict[str, Any]:
    values = given_scores(spec, documents.column("id"))
    pq.write_table(pa.table({spec.column: values}), folder / STATISTICS, compression="zstd")
    return {"documents": len(values), "without-score": int(np.isnan(values).sum())}


def _count_shared(spec: SharedNgrams, documents: Documents, folder: Path) -> dict[str, Any]:
    texts = list(_evaluation_texts(spec))
    reference = shingle(texts, spec.ngram)
    # A shorter text is one shingle of all its words, which says nothing inside a document.
    words = shingle(texts, 1).lengths()
    long = np.flatnonzero(words >= spec.ngram)
    known = np.unique(reference.take(long).hashes)
    if not len(known):
        raise InputError(
            f"decontaminate: none of {len(texts)} texts has {spec.ngram} words",
            expected="texts of evaluation sets",
            fix="lower ngram, or name other texts",
        )
    facts = _write_columns(
        folder, documents, lambda batch: {SHARED_NGRAMS: _shared(batch, known, spec.ngram)}
    )
    return {**facts, "texts": len(texts), "too-short-texts": len(texts) - len(long)}


def _shared(texts: Sequence[str], known: Hashes, ngram: int) -> Values:
    """Distinct n-grams of each text that are known."""
    shingles = shingle(texts, ngram)
    owners = np.repeat(np.arange(len(texts)), shingles.lengths())
    place = np.minimum(np.searchsorted(known, shingles.hashes), len(known) - 1)
    found = known[place] == shingles.hashes
    pairs = np.unique(owners[found] * len(known) + place[found])
    return np.bincount(pairs // len(known), minlength=len(texts)).astype(np.float64)


def _evaluation_texts(spec: SharedNgrams) -> Iterator[str]:
    yield from read_texts(spec.against)
    for path in spec.question_files:
        for question in read_questions(Path(path)):
            yield question.question
            yield f"{question.question}\n{question.answer_text}"
