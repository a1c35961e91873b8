"""What a multiple-choice evaluation's rows say: intervals, subjects, the verdict, a comparison."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curricle.commands.evaluation_text import verdict_text
from curricle.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def read_rows(path: Path) -> "pd.DataFrame":
    """The rows of an evaluation. Raises InputError if they can't be read."""
    import pandas as pd

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"rows {path}: {error}",
            expected="the Parquet file beside an evaluation's JSON",
            fix="correct the path",
        ) from None


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


def compare(rows: "pd.DataFrame", others: "pd.DataFrame", place: Path) -> dict[str, Any]:
    """The model that gave `rows` against the one whose rows lie at `place`."""
    from curricle.analysis.accuracies import compare_accuracies

    paired = compare_accuracies(rows, others)
    return {"rows": str(place), "verdict": paired.verdict, **asdict(paired)}
