"""Measure every document of a table, shard by shard, and store what was found for later steps."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curricle.core.errors import InputError
from curricle.core.questions import read_questions
from curricle.recipes.array_file import ArrayFile, ArrayWriter
from curricle.recipes.classifier import Classifier, train_classifier
from curricle.recipes.document_file import Documents, Shard
from curricle.recipes.engine import IN_PROCESS, Engine
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
# What is measured of texts, by name; a function that can be pickled.
ColumnsOf = Callable[[Sequence[str]], Columns]


def measure(
    measurement: Measurement, documents: Documents, folder: Path, engine: Engine = IN_PROCESS
) -> dict[str, Any]:
    """Write what `measurement` asks for into `folder`; returns facts for the record."""
    match measurement:
        case Statistics(names=names):
            columns_of = functools.partial(measure_texts, names=names)
            return _write_columns(folder, documents, columns_of, engine)
        case MinHashSignatures():
            return _write_signatures(measurement, documents, folder, engine)
        case QualityClassifier():
            return _classify(measurement, documents, folder, engine)
        case SharedNgrams():
            return _count_shared(measurement, documents, folder, engine)
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


def read_signatures(folder: Path, start: int = 0, stop: int | None = None) -> Signatures:
    """Stored signatures, of all documents or of the rows from `start` to `stop`."""
    return Signatures(*(ArrayFile(folder / f"{name}.npy").read(start, stop) for name in SIGNATURES))


def _write_columns(
    folder: Path, documents: Documents, columns_of: ColumnsOf, engine: Engine
) -> dict[str, Any]:
    seen = 0
    schema = pa.schema([(name, pa.float64()) for name in columns_of([])])
    measured = engine.map(functools.partial(_measure_shard, columns_of), documents.shards())
    with pq.ParquetWriter(folder / STATISTICS, schema, compression="zstd") as writer:
        for batches in measured:
            for columns in batches:
                table = pa.table(dict(columns), schema=schema)
                writer.write_table(table)
                seen += table.num_rows
    return {"documents": seen}


def _measure_shard(columns_of: ColumnsOf, shard: Shard) -> list[Columns]:
    """The columns of each batch."""
    return [columns_of(batch.texts) for batch in shard.batches(["text"])]


def _write_signatures(
    spec: MinHashSignatures, documents: Documents, folder: Path, engine: Engine
) -> dict[str, Any]:
    shards = documents.shards()
    count = sum(shard.rows for shard in shards)
    none = sign(shingle([], spec.ngram), spec.permutations)
    with contextlib.ExitStack() as stack:
        writers = {
            name: stack.enter_context(
                ArrayWriter(folder / f"{name}.npy", getattr(none, name), count)
            )
            for name in SIGNATURES
        }
        for signatures in engine.map(functools.partial(_sign_shard, spec), shards):
            for name, writer in writers.items():
                writer.write(getattr(signatures, name))
    return {"documents": count}


def _sign_shard(spec: MinHashSignatures, shard: Shard) -> Signatures:
    parts = [sign(shingle([], spec.ngram), spec.permutations)]
    parts += [
        sign(shingle(batch.texts, spec.ngram), spec.permutations)
        for batch in shard.batches(["text"])
    ]
    return Signatures.join(parts)


def _classify(
    spec: QualityClassifier, documents: Documents, folder: Path, engine: Engine
) -> dict[str, Any]:
    good, bad = list(read_texts(spec.good)), list(read_texts(spec.bad))
    classifier = train_classifier(good, bad, spec)
    classifier.save(folder)
    facts = _write_columns(folder, documents, functools.partial(_goodness, classifier), engine)
    fit = (*(classifier.probabilities(good) >= 0.5), *(classifier.probabilities(bad) < 0.5))
    return {**facts, "good": len(good), "bad": len(bad), "training-accuracy": float(np.mean(fit))}


def _look_up(spec: GivenScores, documents: Documents, folder: Path) -> dict[str, Any]:
    values = given_scores(spec, documents.column("id"))
    pq.write_table(pa.table({spec.column: values}), folder / STATISTICS, compression="zstd")
    return {"documents": len(values), "without-score": int(np.isnan(values).sum())}


def _goodness(classifier: Classifier, texts: Sequence[str]) -> Columns:
    return {GOOD: classifier.probabilities(texts)}


def _count_shared(
    spec: SharedNgrams, documents: Documents, folder: Path, engine: Engine
) -> dict[str, Any]:
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
    columns_of = functools.partial(_shared, known, spec.ngram)
    facts = _write_columns(folder, documents, columns_of, engine)
    return {**facts, "texts": len(texts), "too-short-texts": len(texts) - len(long)}


def _shared(known: Hashes, ngram: int, texts: Sequence[str]) -> Columns:
    """Distinct n-grams of each text that are known."""
    shingles = shingle(texts, ngram)
    owners = np.repeat(np.arange(len(texts)), shingles.lengths())
    place = np.minimum(np.searchsorted(known, shingles.hashes), len(known) - 1)
    found = known[place] == shingles.hashes
    pairs = np.unique(owners[found] * len(known) + place[found])
    counts = np.bincount(pairs // len(known), minlength=len(texts))
    return {SHARED_NGRAMS: counts.astype(np.float64)}


def _evaluation_texts(spec: SharedNgrams) -> Iterator[str]:
    yield from read_texts(spec.against)
    for path in spec.question_files:
        for question in read_questions(Path(path)):
            yield question.question
            yield f"{question.question}\n{question.answer_text}"
