"""The file formats that multiple-choice sets come in, each read as rows of plain cells.

A folder or `.tar.gz` in MMLU's own layout holds `{dev,val,test}/<subject>_<split>.csv`, also below
folders such as `data/`; rows without a header: question, four choices, answer letter. Hugging
Face's copy (`cais/mmlu`) is a folder of `<subject>/<split>-00000-of-00001.parquet` with the columns
`question`, `subject`, `choices` and `answer` (0 to 3); its folder `all` repeats the subjects and is
read only where it stands alone. A single Parquet file holds the columns `subject`, `split`,
`index`, `question`, `choices` (list of four) and `answer` (A to D).

An archive is read in memory and never unpacked, so paths in it can't escape anywhere.
"""

import csv
import io
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from curricle.core.errors import InputError

LETTERS = "ABCD"
COLUMNS = ("subject", "split", "index", "question", "choices", "answer")
HUGGING_FACE_COLUMNS = ("question", "choices", "answer")

_CSV = re.compile(r"(?:^|/)(dev|val|test)/([^/.][^/]*)_\1\.csv$")
_SHARD = re.compile(r"(dev|validation|test)-\d+-of-\d+\.parquet")
_ALL = "all"


class Row(NamedTuple):
    """One question's cells by column, not yet checked, and where they stand."""

    place: str
    number: int
    cells: dict[str, Any]


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a folder, an archive or a Parquet file, in no particular order.

    Raises InputError, naming file and row, for cells that can't be told apart.
    """
    if path.suffix == ".parquet":
        return _read_table(path)
    if not path.is_dir():
        return _read_archive(path)
    files = [file for file in sorted(path.rglob("*.csv")) if _csv_name(file, path)]
    return _read_csv_files(files, path) if files else _read_shards(path)


def malformed(place: str, number: int, problem: str) -> InputError:
    """The error for a row that isn't a question."""
    return InputError(
        f"{place}, row {number}: {problem}",
        expected="question, four choices, answer letter A to D",
        fix="mend that row",
    )


def _csv_name(file: Path, folder: Path) -> re.Match[str] | None:
    return _CSV.search(file.relative_to(folder).as_posix())


def _read_csv_files(files: Sequence[Path], folder: Path) -> Iterator[Row]:
    for file in files:
        match = _csv_name(file, folder)
        assert match is not None
        yield from _parse_csv(str(file), match[2], match[1], file.read_bytes())


def _read_archive(path: Path) -> Iterator[Row]:
    with tarfile.open(path) as archive:
        for member in archive:
            match = _CSV.search(member.name)
            if match and member.isreg():
                stream = archive.extractfile(member)
                assert stream is not None
                yield from _parse_csv(f"{path}:{member.name}", match[2], match[1], stream.read())


def _parse_csv(place: str, subject: str, split: str, content: bytes) -> Iterator[Row]:
    number = 0
    try:
        lines = io.StringIO(content.decode("utf-8-sig"), newline="")
        for number, cells in enumerate(csv.reader(lines), start=1):
            if len(cells) != 2 + len(LETTERS):
                raise malformed(place, number, f"{len(cells)} cells")
            values = (subject, split, number - 1, cells[0], cells[1:5], cells[5])
            yield Row(place, number, dict(zip(COLUMNS, values, strict=True)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise malformed(place, number + 1, str(error)) from None


def _read_table(path: Path) -> Iterator[Row]:
    for number, cells in enumerate(_cells(path, COLUMNS), start=1):
        yield Row(str(path), number, cells)


def _read_shards(folder: Path) -> Iterator[Row]:
    files = [file for file in sorted(folder.rglob("*.parquet")) if _SHARD.fullmatch(file.name)]
    single = [file for file in files if file.parent.name != _ALL]
    counts: Counter[tuple[str, str]] = Counter()
    _refuse_copies(single or files)
    for file in single or files:
        split = file.name.split("-")[0].replace("validation", "val")
        for number, cells in enumerate(_cells(file, HUGGING_FACE_COLUMNS), start=1):
            subject = cells.get("subject") or file.parent.name
            index, answer = counts[subject, split], cells["answer"]
            counts[subject, split] += 1
            letter = LETTERS[answer] if answer in range(len(LETTERS)) else answer
            placed = {"subject": subject, "split": split, "index": index, "answer": letter}
            yield Row(str(file), number, cells | placed)


def _refuse_copies(files: Sequence[Path]) -> None:
    """Rows have no index of their own there: a second copy would look like more questions."""
    seen: dict[tuple[str, str], Path] = {}
    for file in files:
        first = seen.setdefault((file.parent.name, file.name), file)
        if first != file:
            raise InputError(
                f"questions {first}, and again {file}",
                expected="one copy of the set",
                fix="name the folder of one copy",
            )


def _cells(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    table = pq.read_table(path, partitioning=None)
    missing = sorted(set(columns) - set(table.column_names))
    if missing:
        raise InputError(
            f"questions {path}: no column {missing[0]!r}",
            expected=f"columns {', '.join(columns)}",
            fix="rename or add it",
        )
    rows: list[dict[str, Any]] = table.to_pylist()
    return [{name: row[name] for name in COLUMNS if name in row} for row in rows]
