import io
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curricle.core.errors import InputError
from curricle.core.questions import (
    LETTERS,
    Question,
    read_questions,
    select,
    split_shots,
    write_questions,
)

SHARED = Path(__file__).parents[3] / "shared" / "data"

QUESTIONS = [
    Question(subject, split, index, f'{subject}, "{index}"?\nNew line', choices, LETTERS[index % 4])
    for subject in ("algebra", "world_history")
    for split, count in (("dev", 2), ("test", 5))
    for index in range(count)
    for choices in [("1", "two, 2", 'three "3"', "4\n4")]
]


def _tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def _members(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_questions(tmp_path, reversed(QUESTIONS))
    assert read_questions(tmp_path) == QUESTIONS
    assert (tmp_path / "dev" / "algebra_dev.csv").exists()


def test_folder_archive_and_parquet_hold_the_same(tmp_path: Path) -> None:
    write_questions(tmp_path / "mmlu" / "data", QUESTIONS)
    assert read_questions(tmp_path / "mmlu") == QUESTIONS
    assert read_questions(_tar(tmp_path / "m.tar.gz", _members(tmp_path / "mmlu"))) == QUESTIONS
    rows = [{**asdict(one), "choices": list(one.choices)} for one in QUESTIONS]
    pq.write_table(pa.Table.from_pylist(rows[::-1]), tmp_path / "m.parquet")
    assert read_questions(tmp_path / "m.parquet") == QUESTIONS


def _write_hugging_face(folder: Path, config: str, questions: list[Question]) -> None:
    """A configuration of `cais/mmlu`: a file a split, answers as numbers."""
    (folder / config).mkdir(parents=True)
    for split, name in (("dev", "dev"), ("val", "validation"), ("test", "test")):
        rows = [
            {
                "question": one.question,
                "subject": one.subject,
                "choices": list(one.choices),
                "answer": one.answer_index,
            }
            for one in questions
            if one.split == split
        ]
        schema = pa.schema(
            [
                ("question", pa.string()),
                ("subject", pa.string()),
                ("choices", pa.list_(pa.string())),
                ("answer", pa.int64()),
            ]
        )
        table = pa.Table.from_pylist(rows, schema)
        for shard in range(2):  # the second one continues the first one's count
            part = table.slice(shard * 3, 3 if shard == 0 else None)
            pq.write_table(part, folder / config / f"{name}-{shard:05}-of-00002.parquet")


def test_hugging_faces_layout_holds_the_same(tmp_path: Path) -> None:
    for subject in ("algebra", "world_history"):
        members = [one for one in QUESTIONS if one.subject == subject]
        _write_hugging_face(tmp_path, subject, members)
    assert read_questions(tmp_path) == QUESTIONS
    _write_hugging_face(tmp_path, "all", QUESTIONS)  # repeats what the others hold
    assert read_questions(tmp_path) == QUESTIONS
    assert read_questions(tmp_path / "all") == QUESTIONS
    assert read_questions(tmp_path / "algebra") == QUESTIONS[:7]


def test_two_copies_of_a_set_are_refused(tmp_path: Path) -> None:
    for copy in ("data", "backup"):
        write_questions(tmp_path / "csv" / copy, QUESTIONS)
        _write_hugging_face(tmp_path / "hub" / copy, "algebra", QUESTIONS[:7])
    again = r"question 0 of algebra, dev: in .*(backup|data)/dev.*, and again in .*/dev.*, row 1"
    with pytest.raises(InputError, match=again):
        read_questions(tmp_path / "csv")
    with pytest.raises(InputError, match=again):
        read_questions(_tar(tmp_path / "m.tar.gz", _members(tmp_path / "csv")))
    with pytest.raises(InputError, match=r"backup.*dev-0.*, and again .*data.*dev-0"):
        read_questions(tmp_path / "hub")
    rows = [{**asdict(one), "choices": list(one.choices)} for one in QUESTIONS[:1] * 2]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    with pytest.raises(InputError, match=r"again in .*m\.parquet, row 2"):
        read_questions(tmp_path / "m.parquet")


def test_a_number_that_is_no_answer_is_named(tmp_path: Path) -> None:
    _write_hugging_face(tmp_path, "algebra", QUESTIONS[:7])
    path = tmp_path / "algebra" / "dev-00000-of-00002.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("answer")
    pq.write_table(table.set_column(place, "answer", pa.array([0, 4])), path)
    with pytest.raises(InputError, match=r"dev-00000-of-00002\.parquet, row 2: answer 4"):
        read_questions(tmp_path)


def test_subjects_are_chosen_by_name() -> None:
    assert select(QUESTIONS, ()) == QUESTIONS
    assert select(QUESTIONS, ["algebra"]) == QUESTIONS[:7]
    with pytest.raises(InputError, match="subject 'history', .* such as world_history"):
        select(QUESTIONS, ["algebra", "history"])


def test_shots_are_the_first_dev_questions() -> None:
    dev, test = split_shots(QUESTIONS, 1)
    assert dev["algebra"] == QUESTIONS[:1]
    assert test["algebra"] == QUESTIONS[2:7]
    assert list(test) == ["algebra", "world_history"]
    with pytest.raises(InputError, match="subject algebra: 2 dev questions, expected at least 3"):
        split_shots(QUESTIONS, 3)
    with pytest.raises(InputError, match="2 questions, none of them in the split test"):
        split_shots(QUESTIONS[:2], 0)


def test_paths_in_an_archive_escape_nowhere(tmp_path: Path) -> None:
    row = b"question,1,2,3,4,B\n"
    members = {
        "../../test/up_test.csv": row,
        "/test/root_test.csv": row,
        "test/._hidden_test.csv": b"\0\0 resource fork",
        "test/other.csv": b"x",
        "test/algebra_dev.csv": b"x",
    }
    (tmp_path / "in").mkdir()
    path = _tar(tmp_path / "in" / "m.tar.gz", members)
    before = sorted(tmp_path.rglob("*"))
    assert [one.subject for one in read_questions(path)] == ["root", "up"]
    assert sorted(tmp_path.rglob("*")) == before


def test_links_in_an_archive_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "m.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("test/algebra_test.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(InputError, match="no questions"):
        read_questions(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"q,1,2,3,4,A\nq,1,2,3,B\n", r"algebra_test\.csv, row 2: 5 cells"),
        (b"q,1,2,3,4,E\n", r"row 1: answer 'E'"),
        (b"q,1,2,3,4,\n", r"row 1: answer ''"),
        (b"q,1,2,3,4,AB\n", r"row 1: answer 'AB'"),
        (b" ,1,2,3,4,A\n", r"row 1: question ' '"),
        (b"q,1,,3,4,A\n", r"row 1: choices \['1', ''"),
        (b"q,1,2,3,4,A\n\xff,1,2,3,4,A\n", r"row 1: .*can't decode"),
        (b"q,1,2,3,4,A\n" + b"x" * 200_000, r"row 2: field larger than field limit"),
    ],
)
def test_malformed_rows_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "algebra_test.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_questions(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "train"}, r"m\.parquet, row 1: split 'train'"),
        ({"subject": "../up"}, r"row 1: subject '\.\./up'"),
        ({"subject": None}, r"row 1: subject None"),
        ({"index": None}, r"row 1: index None"),
        ({"choices": ["1", "2", "3"]}, r"row 1: choices \['1', '2', '3'\]"),
        ({"choices": None}, r"row 1: choices None"),
        ({"answer": 1}, r"row 1: answer 1"),
        ({"question": None}, r"row 1: question None"),
    ],
)
def test_malformed_parquet_rows_are_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    row = {**asdict(QUESTIONS[0]), "choices": list(QUESTIONS[0].choices), **change}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "m.parquet")
    with pytest.raises(InputError, match=message):
        read_questions(tmp_path / "m.parquet")


def test_a_missing_parquet_column_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"subject": ["a"]}), tmp_path / "m.parquet")
    with pytest.raises(InputError, match="no column 'answer', expected columns subject, split"):
        read_questions(tmp_path / "m.parquet")


@pytest.mark.parametrize("name", ["m.tar.gz", "m.parquet"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    write_questions(tmp_path / "mmlu", QUESTIONS)
    path = tmp_path / name
    if name.endswith("gz"):
        path.write_bytes(_tar(path, _members(tmp_path / "mmlu")).read_bytes()[:-50])
    else:
        path.write_bytes(b"PAR1PAR1")
    with pytest.raises(InputError, match=rf"{name}: .*fix: fetch it again"):
        read_questions(path)


def test_a_missing_path_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: does not exist"):
        read_questions(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no questions"):
        read_questions(tmp_path)


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_the_real_mmlu_is_the_same_in_both_forms() -> None:
    questions = read_questions(SHARED / "mmlu.tar.gz")
    assert questions == read_questions(SHARED / "mmlu.parquet")
    subjects = {one.subject for one in questions}
    splits = {split: sum(one.split == split for one in questions) for split in ("dev", "test")}
    # As the data card says: 57 subjects, five dev questions each, 14,042 test questions.
    assert len(subjects) == 57
    assert splits == {"dev": 5 * 57, "test": 14_042}


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_the_real_mmlus_constant_letters() -> None:
    test = [one for one in read_questions(SHARED / "mmlu.parquet") if one.split == "test"]
    shares = [sum(one.answer == letter for one in test) / len(test) for letter in LETTERS]
    # As published with the irreducible curriculum (arXiv 2310.15389), where they pass for results.
    assert [round(100 * share, 2) for share in shares] == [22.95, 24.65, 25.51, 26.89]
