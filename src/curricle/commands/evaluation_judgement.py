"""What an evaluation's rows say: intervals, subjects, verdicts, a comparison with another model."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curricle.commands.evaluation_text import verdict_text
from curricle.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


QUESTION_COLUMNS = ("subject", "index", "answer", "prediction")
DOCUMENT_COLUMNS = ("domain", "document", "bytes", "nats")


def read_rows(path: Path, columns: Sequence[str]) -> "pd.DataFrame":
    """The rows of an evaluation, which have `columns`. Raises InputError if they can't be read."""
    import pandas as pd

    try:
        rows = pd.read_parquet(path)
        if missing := [name for name in columns if name not in rows]:
            raise ValueError(f"no column {missing[0]!r}")
    except (OSError, ValueError) as error:
        raise InputError(
            f"rows {path}: {error}",
            expected="the Parquet file beside the JSON of an evaluation of this kind",
            fix="correct the path",
        ) from None
    return rows


def judge(facts: Mapping[str, Any], rows: "pd.DataFrame") -> dict[str, Any]:
    """The job's numbers with intervals, subjects and groups, and the verdict."""
    from curricle.analysis.accuracies import accuracy_by_group, accuracy_by_subject
    from curricle.analysis.multiple_choice import letter_report

    report = letter_report("model", rows["answer"].tolist(), rows["prediction"].tolist())
    verdict = verdict_text(
        above=report.above, letter=report.best_letter, rate=report.best_rate, p_value=report.p_value
    )
    return {
        **facts,
        "low": report.low,
        "high": report.high,
        "verdict": {"above": report.above, "p_value": report.p_value, "text": verdict},
        "groups": [asdict(entry) for entry in accuracy_by_group(rows)],
        "subjects": [asdict(entry) for entry in accuracy_by_subject(rows)],
    }


def compare_answers(rows: "pd.DataFrame", others: "pd.DataFrame", place: str) -> dict[str, Any]:
    """The model that gave `rows` against the one whose rows lie at `place`, by question."""
    from curricle.analysis.accuracies import compare_accuracies

    paired = compare_accuracies(rows, others)
    return {"rows": place, "verdict": paired.verdict, **asdict(paired)}


def compare_losses(rows: "pd.DataFrame", others: "pd.DataFrame", place: str) -> dict[str, Any]:
    """The same by document: bits per byte, on the mean over domains and in each domain."""
    from curricle.analysis.documents import compare_documents
    from curricle.analysis.results import AVERAGE

    found = {
        entry.domain: {
            "documents": entry.documents,
            "verdict": entry.verdict,
            "difference": entry.difference.value,
            "low": entry.difference.low,
            "high": entry.difference.high,
        }
        for entry in compare_documents({"this model": [rows], place: [others]}, place)
        if entry.difference is not None
    }
    average = found.pop(AVERAGE)
    return {"rows": place, **average, "domains": found}
