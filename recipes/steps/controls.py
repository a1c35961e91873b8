"""Controls that make a corpus worse in a known way: copies, and texts from elsewhere."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from curricle.core.seeds import generator
from curricle.recipes.document_file import Batch
from curricle.recipes.dropped import DropLog
from curricle.recipes.named_texts import read_texts
from curricle.recipes.specs.steps import DuplicateDocuments, ForeignDomain

Transform = Callable[[Batch, DropLog], pa.Table]


def duplicate_documents(
    step: DuplicateDocuments, seed: int, batch: Batch, log: DropLog
) -> pa.Table:
    """Put copies and near-copies behind documents; each document has a random stream of its own."""
    del log
    copies_per_document = step.share / (1 - step.share)
    rows = []
    for row in batch.table.to_pylist():
        random = generator(seed, "duplicate-documents", row["id"])
        rows.append(row)
        copies = int(copies_per_document + random.random())
        for number in range(1, copies + 1):
            is_near = random.random() < step.near
            edits = step.edits * random.random() if is_near else 0.0
            text = edited(row["text"], edits, random) if is_near else row["text"]
            rows.append({**row, "id": f"{row['id']}#copy-{number}", "text": text})
    return pa.Table.from_pylist(rows, schema=batch.table.schema)


def edited(text: str, edits: float, random: np.random.Generator) -> str:
    """`text` with a share of its words, at least one, replaced by other words of its own."""
    words = text.split(" ")
    count = max(1, round(edits * len(words)))
    for place in random.choice(len(words), count, replace=False):
        words[place] = words[random.integers(len(words))]
    return " ".join(words)


def foreign_domain(step: ForeignDomain, seed: int) -> Transform:
    """Replace texts by those of a source, which is held in memory."""
    foreign = list(read_texts([step.source]))

    def transform(batch: Batch, log: DropLog) -> pa.Table:
        texts = []
        for identifier, text, domain in zip(
            batch.ids, batch.texts, batch.table["domain"].to_pylist(), strict=True
        ):
            random = generator(seed, "foreign-domain", identifier)
            is_foreign = random.random() < step.share
            texts.append(foreign[random.integers(len(foreign))] if is_foreign else text)
            log.change("texts replaced", domain, int(is_foreign))
        column = batch.table.schema.get_field_index("text")
        field = batch.table.schema.field(column)
        return batch.table.set_column(column, field, pa.array(texts, field.type))

    return transform
