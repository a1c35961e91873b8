"""What a training run reads, by place in its order."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from curricle.core.order_file import Order, read_order
from curricle.core.plain import file_sha256
from curricle.core.token_dataset import MANIFEST, TokenDataset, Tokens


@dataclass(frozen=True)
class DatasetFacts:
    """What a run has to know of the dataset that its order names samples of.

    `manifest` is the SHA-256 of the dataset's manifest.
    """

    samples: int
    vocabulary_size: int
    manifest: str


class Reading(Protocol):
    """The samples of an order, by place; where they lie is the implementation's matter."""

    order: Order
    dataset: DatasetFacts

    def read(self, places: Order) -> Tokens:
        """Token ids of the samples at these places, int64, (len(places), sequence_length + 1)."""


class DatasetReading:
    """The samples of an order, each looked up in its dataset."""

    def __init__(self, folder: Path, order: Path, sequence_length: int) -> None:
        self._samples = TokenDataset(folder, sequence_length)
        self.dataset = dataset_facts(self._samples)
        self.order = read_order(order, len(self._samples))

    def read(self, places: Order) -> Tokens:
        """Token ids of the samples at these places."""
        return self._samples.read(self.order[places])


def dataset_facts(dataset: TokenDataset) -> DatasetFacts:
    """Those of an open dataset."""
    return DatasetFacts(
        samples=len(dataset),
        vocabulary_size=int(dataset.manifest["vocabulary_size"]),
        manifest=file_sha256(dataset.folder / MANIFEST),
    )
