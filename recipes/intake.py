"""All sources of a study read into one sorted spool, each document checked and placed once."""

from array import array
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curricle.core.errors import InputError
from curricle.recipes.documents import Document, Drops
from curricle.recipes.sources import read_source
from curricle.recipes.specs.sources import Source
from curricle.recipes.splitting import held_out_places, place_of
from curricle.recipes.spool import Spool, Spooled


class Intake:
    """The documents read, and of each what the split needs: domain, place and bytes."""

    def __init__(self, folder: Path) -> None:
        self.documents = Spool(folder)
        self._domains: dict[str, int] = {}
        self._codes, self._places, self._sizes = array("q"), array("d"), array("q")
        self._ids = array("q")

    def __len__(self) -> int:
        return len(self._codes)

    def add(self, corpus: str, document: Document, seed: int) -> None:
        """Take a document of the corpus of that name."""
        place = place_of(document.group, seed)
        identifier, text, domain, source, _ = document
        self.documents.add(Spooled(domain, identifier, corpus, source, place, text))
        self._codes.append(self._domains.setdefault(domain, len(self._domains)))
        self._places.append(place)
        self._sizes.append(len(text.encode()))
        self._ids.append(hash(identifier))

    def held_out_places(self, validation_fraction: float) -> npt.NDArray[np.float64]:
        """What `splitting.held_out_places` holds out of these documents."""
        return held_out_places(
            list(self._domains),
            np.array(self._codes, dtype=np.int64),
            np.array(self._places, dtype=np.float64),
            np.array(self._sizes, dtype=np.int64),
            validation_fraction,
        )

    def check_ids(self) -> None:
        """Raise InputError if two documents have the same id."""
        hashes, counts = np.unique(np.array(self._ids, dtype=np.int64), return_counts=True)
        suspects = set(hashes[counts > 1].tolist())
        if not suspects:
            return
        first: dict[str, Spooled] = {}
        for document in self.documents:
            if hash(document.id) in suspects:
                if document.id in first:
                    raise _duplicate_id(first[document.id], document)
                first[document.id] = document


def read_all(corpora: Mapping[str, Source], seed: int, drops: Drops, folder: Path) -> Intake:
    """All usable documents of all corpora; the spool's files lie in `folder`.

    Raises InputError if there are none, or an id occurs twice.
    """
    intake = Intake(folder)
    for name, source in sorted(corpora.items()):
        for document in read_source(source, seed, drops):
            intake.add(name, document, seed)
    if not len(intake):
        raise InputError(
            f"corpora {', '.join(sorted(corpora))} hold no usable document"
            f" ({drops.total} dropped: {', '.join(drops.to_plain()) or 'none seen'})",
            expected="at least two documents in every domain",
            fix="check the paths and column names of the corpora",
        )
    intake.check_ids()
    return intake


def _duplicate_id(first: Spooled, again: Spooled) -> InputError:
    places = (f"{one.source} of corpus {one.corpus!r}" for one in (first, again))
    return InputError(
        f"id {again.id!r} occurs twice: {' and '.join(places)}",
        expected="ids that are unique over all corpora",
        fix="read each file in one corpus only; without id_column, ids are file names and rows",
    )
