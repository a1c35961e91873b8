"""All sources of a study read into sorted runs, each document checked and placed once."""

import functools
import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curricle.core.errors import InputError
from curricle.recipes.codepoints import Indices
from curricle.recipes.documents import Drops
from curricle.recipes.engine import IN_PROCESS, Engine, in_shards
from curricle.recipes.hashing import Hashes
from curricle.recipes.sources import Part, parts_of, read_part
from curricle.recipes.specs.sources import Source
from curricle.recipes.splitting import held_out_places, place_of
from curricle.recipes.spool import RunWriter, Spool, Spooled


class NamedPart(NamedTuple):
    """A part of the corpus of that name."""

    corpus: str
    part: Part


class PartShard(NamedTuple):
    """Parts read by one task; `runs` begins the names of its files."""

    parts: Sequence[NamedPart]
    runs: Path


@dataclass(frozen=True)
class Taken:
    """What a task read: sorted runs on disk, and of each document what the split needs.

    Arrays are (documents,): the domain's index in `domains`, the place, the bytes, a hash of the
    id.
    """

    runs: Sequence[Path]
    domains: Sequence[str]
    codes: Indices
    places: npt.NDArray[np.float64]
    sizes: Indices
    ids: Hashes
    drops: Drops


class Intake:
    """The documents read, and of each what the split needs: domain, place and bytes."""

    def __init__(self, taken: Sequence[Taken]) -> None:
        self.documents = Spool([run for one in taken for run in one.runs])
        self._domains = sorted({domain for one in taken for domain in one.domains})
        numbers = {domain: number for number, domain in enumerate(self._domains)}
        codes = (np.array([numbers[name] for name in one.domains], np.int64) for one in taken)
        self._codes = np.concatenate(
            [own[one.codes] for own, one in zip(codes, taken, strict=True)]
        )
        self._places = np.concatenate([one.places for one in taken])
        self._sizes = np.concatenate([one.sizes for one in taken])
        self._ids = np.concatenate([one.ids for one in taken])

    def __len__(self) -> int:
        return len(self._codes)

    def held_out_places(self, validation_fraction: float) -> npt.NDArray[np.float64]:
        """What `splitting.held_out_places` holds out of these documents."""
        return held_out_places(
            self._domains, self._codes, self._places, self._sizes, validation_fraction
        )

    def check_ids(self) -> None:
        """Raise InputError if two documents have the same id."""
        hashes, counts = np.unique(self._ids, return_counts=True)
        suspects = set(hashes[counts > 1].tolist())
        if not suspects:
            return
        first: dict[str, Spooled] = {}
        for document in self.documents:
            if _hash(document.id) in suspects:
                if document.id in first:
                    raise _duplicate_id(first[document.id], document)
                first[document.id] = document


def read_all(
    corpora: Mapping[str, Source],
    seed: int,
    drops: Drops,
    folder: Path,
    engine: Engine = IN_PROCESS,
) -> Intake:
    """All usable documents of all corpora; the runs' files lie in `folder`.

    Raises InputError if there are none, or an id occurs twice.
    """
    parts = [
        NamedPart(name, part)
        for name, source in sorted(corpora.items())
        for part in parts_of(source, drops)
    ]
    shards = [
        PartShard(parts[members.start : members.stop], folder / f"run-{number:05}")
        for number, members in enumerate(in_shards([named.part.size for named in parts]))
    ]
    taken = list(engine.map(functools.partial(_take, seed), shards))
    for one in taken:
        drops.update(one.drops)
    intake = Intake(taken)
    if not len(intake):
        raise InputError(
            f"corpora {', '.join(sorted(corpora))} hold no usable document"
            f" ({drops.total} dropped: {', '.join(drops.to_plain()) or 'none seen'})",
            expected="at least two documents in every domain",
            fix="check the paths and column names of the corpora",
        )
    intake.check_ids()
    return intake


def _take(seed: int, shard: PartShard) -> Taken:
    """Read parts and write their documents down, sorted."""
    writer, drops = RunWriter(shard.runs), Drops()
    domains: dict[str, int] = {}
    codes, places, sizes, ids = array("q"), array("d"), array("q"), array("Q")
    for corpus, part in shard.parts:
        for document in read_part(part, seed, drops):
            place = place_of(document.group, seed)
            identifier, text, domain, source, _, origin = document
            writer.add(Spooled(domain, identifier, corpus, source, place, text, origin))
            codes.append(domains.setdefault(domain, len(domains)))
            places.append(place)
            sizes.append(len(text.encode()))
            ids.append(_hash(identifier))
    writer.flush()
    return Taken(
        writer.runs,
        list(domains),
        np.array(codes, np.int64),
        np.array(places, np.float64),
        np.array(sizes, np.int64),
        np.array(ids, np.uint64),
        drops,
    )


def _hash(identifier: str) -> int:
    """The same in every process, unlike Python's own."""
    return int.from_bytes(hashlib.blake2b(identifier.encode(), digest_size=8).digest(), "little")


def _duplicate_id(first: Spooled, again: Spooled) -> InputError:
    places = (f"{one.origin or one.source} of corpus {one.corpus!r}" for one in (first, again))
    return InputError(
        f"id {again.id!r} occurs twice: {' and '.join(places)}",
        expected="ids that are unique over all corpora",
        fix="read each file in one corpus only; without id_column, ids are file names and rows",
    )
