"""Rule-based quality filter; the rules that Gopher has follow it (arXiv 2112.11446, table A1).

Words are what stands between white space. A document is dropped for the first rule it breaks.
"""

import re

import pyarrow as pa

from curricle.recipes.documents import Drops, drop_rows
from curricle.recipes.specs.steps import QualityFilter

# Gopher counts hash signs and ellipses as symbols.
_SYMBOL = re.compile(r"#|\.\.\.|…")


def quality_filter(step: QualityFilter, documents: pa.Table, drops: Drops) -> pa.Table:
    """The documents that break no rule of `step`."""
    reasons = [reason_to_drop(step, text) for text in documents["text"].to_pylist()]
    return drop_rows(documents, reasons, drops)


def reason_to_drop(step: QualityFilter, text: str) -> str | None:
    """The name of the first rule that `text` breaks, or None."""
    words = text.split()
    if len(words) < step.minimum_words:
        return "few-words"
    mean_length = sum(map(len, words)) / len(words)
    if mean_length < step.minimum_mean_word_length:
        return "short-words"
    if mean_length > step.maximum_mean_word_length:
        return "long-words"
    if _symbols(text) > step.maximum_symbol_to_word_ratio * len(words):
        return "many-symbols"
    if duplicate_line_fraction(text) > step.maximum_duplicate_line_fraction:
        return "repeated-lines"
    if len(set(words)) < step.minimum_distinct_word_fraction * len(words):
        return "few-distinct-words"
    return None


def duplicate_line_fraction(text: str) -> float:
    """Share of the non-blank lines that repeat an earlier one, white space around them ignored."""
    lines = [line for line in map(str.strip, text.splitlines()) if line]
    return 1 - len(set(lines)) / len(lines) if lines else 0.0


def _symbols(text: str) -> int:
    return sum(1 for _ in _SYMBOL.finditer(text))
