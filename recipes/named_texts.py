"""What a recipe names beside the corpus: evaluation sets, examples for a classifier, scores."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from curricle.core.errors import InputError
from curricle.core.plain import fingerprint
from curricle.core.questions import read_questions
from curricle.recipes.documents import Drops
from curricle.recipes.given_scores import table_files
from curricle.recipes.sources import identity_of, read_source
from curricle.recipes.specs.sources import Source


def content_of(
    sources: Sequence[Source],
    question_files: Sequence[str] = (),
    score_files: Sequence[str] = (),
) -> list[Any]:
    """JSON values that change if and only if what is named there changes."""
    questions = [fingerprint(list(read_questions(Path(path)))) for path in question_files]
    scores = [file.identity for path in score_files for file in table_files(path)]
    return [*map(identity_of, sources), *questions, *scores]


def read_texts(sources: Sequence[Source]) -> Iterator[str]:
    """The texts of all sources. Raises InputError if one of them has none."""
    for source in sources:
        drops, found = Drops(), 0
        for document in read_source(source, 0, drops):
            found += 1
            yield document.text
        if not found:
            raise InputError(
                f"no usable text in {source.model_dump(exclude_none=True)}"
                f" ({drops.total} dropped: {', '.join(drops.to_plain()) or 'none seen'})",
                expected="at least one document",
                fix="check the path and the column names",
            )
