"""The rules of C4 (Raffel et al. 2020), in the order of datatrove's implementation."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from curricle.recipes.document_file import Batch
from curricle.recipes.dropped import Drop, DropLog
from curricle.recipes.specs.steps import C4
from curricle.recipes.text_statistics.words import count_sentences

_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
_LINE_ENDS = (".", "?", "!", '"', "'")
_POLICIES = re.compile(
    "terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies"
)


class _Left(NamedTuple):
    """What is left of a document: lines that stay, why others were removed, why it is dropped."""

    lines: list[str]
    removed: list[str]
    drop: str | None = None


def c4(step: C4, batch: Batch, log: DropLog) -> pa.Table:
    """Keep the lines that pass, and the documents with enough sentences in these."""
    left = [_left(step, text) for text in batch.texts]
    sentences = iter(_sentences(step, left))
    drops: list[Drop | None] = []
    for document in left:
        count = next(sentences)
        if document.drop:
            drops.append(Drop(document.drop))
        elif count < step.minimum_sentences:
            drops.append(Drop("minimum-sentences", float(count), step.minimum_sentences))
        else:
            drops.append(None)
    _count_changes(batch, left, drops, log)
    return _with_texts(batch, left, drops, log)


def _left(step: C4, text: str) -> _Left:
    lines: list[str] = []
    removed: list[str] = []
    for line in map(str.strip, text.splitlines()):
        kept = _CITATION.sub("", line) if "[" in line else line
        reason = _reason_to_remove(step, line, kept)
        if reason is None:
            lowered = kept.lower()
            if "lorem ipsum" in lowered:
                return _Left([], [], "lorem-ipsum")
            if "javascript" in lowered:
                reason = "javascript"
            elif "{" in kept:
                return _Left([], [], "curly-bracket")
            elif _POLICIES.search(lowered):
                reason = "policy"
        if reason is None:
            lines.append(kept)
        else:
            removed.append(reason)
    return _Left(lines, removed)


def _reason_to_remove(step: C4, line: str, kept: str) -> str | None:
    """Why a line goes, judged by its end and its words."""
    if not kept.endswith(_LINE_ENDS) or kept.endswith("..."):
        return "no-terminal-mark"
    words = line.split()
    if len(words) < step.minimum_words_per_line:
        return "few-words"
    if len(line) > step.maximum_word_length and max(map(len, words)) > step.maximum_word_length:
        return "long-word"
    return None


def _sentences(step: C4, left: list[_Left]) -> Iterator[int]:
    """Sentences of each document; where its lines are enough, their number, as each has one."""
    short = [one for one in left if len(one.lines) < step.minimum_sentences]
    counts = iter(count_sentences([line for one in short for line in one.lines]).tolist())
    for document in left:
        if len(document.lines) < step.minimum_sentences:
            yield sum(next(counts) for _ in document.lines)
        else:
            yield len(document.lines)


def _count_changes(batch: Batch, left: list[_Left], drops: list[Drop | None], log: DropLog) -> None:
    domains = batch.table["domain"].to_pylist()
    for document, domain, drop in zip(left, domains, drops, strict=True):
        if drop is None:
            for reason in document.removed:
                log.change(f"lines removed: {reason}", domain)


def _with_texts(
    batch: Batch, left: list[_Left], drops: list[Drop | None], log: DropLog
) -> pa.Table:
    """The documents that stay with what is left of them; the log sees dropped ones whole."""
    column = batch.table.schema.get_field_index("text")
    field = batch.table.schema.field(column)
    kept = log.filter(batch.table, drops)
    texts = [
        "\n".join(document.lines).strip()
        for document, drop in zip(left, drops, strict=True)
        if drop is None
    ]
    return kept.set_column(column, field, pa.array(texts, field.type))
