"""OLMo's token files, as Dolma writes them: `<domain>/part-<n>.npy` with a `.csv.gz` beside each.

In spite of its name the `.npy` has no header: it is the tokens alone, little-endian, uint16 or
uint32, each document ended by the end-of-text token. A row of the `.csv.gz` is a document's start
and end in it, id, source and number.
"""

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from curricle.recipes.exporting.stored_documents import StoredDocument

PART_TOKENS = 1 << 30


def write_olmo(
    documents: Iterator[StoredDocument], domain: str, dtype: str, output: Path
) -> list[str]:
    """Write one domain; returns the files' names."""
    del dtype  # both that a dataset may have are OLMo's
    (output / domain).mkdir()
    names = []
    for number, part in enumerate(_parts(documents)):
        name = f"{domain}/part-{number:05}"
        _write_part(part, output / f"{name}.npy", output / f"{name}.csv.gz")
        names += [f"{name}.npy", f"{name}.csv.gz"]
    return names


def _write_part(documents: Iterable[StoredDocument], tokens: Path, rows: Path) -> None:
    start = 0
    # Without a time in its header the same content is the same bytes.
    with (
        tokens.open("wb") as stream,
        rows.open("wb") as packed,
        gzip.GzipFile("", "wb", fileobj=packed, mtime=0) as unpacked,
        io.TextIOWrapper(unpacked, encoding="utf-8", newline="") as text,
    ):
        writer = csv.writer(text)
        for number, document in enumerate(documents):
            stream.write(document.tokens.tobytes())
            end = start + len(document.tokens)
            writer.writerow([start, end, document.id, document.source, number])
            start = end


def _parts(documents: Iterator[StoredDocument]) -> Iterator[Iterator[StoredDocument]]:
    """The documents in parts of about `PART_TOKENS`, each read to its end before the next."""
    first = next(documents, None)

    def part() -> Iterator[StoredDocument]:
        nonlocal first
        tokens = 0
        while first is not None and (not tokens or tokens + len(first.tokens) <= PART_TOKENS):
            tokens += len(first.tokens)
            yield first
            first = next(documents, None)

    while first is not None:
        yield part()
