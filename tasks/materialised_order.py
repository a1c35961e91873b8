"""The step that rewrites a dataset's samples in the order in which a run reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from curricle.core.materialised_order import materialise
from curricle.core.token_dataset import TokenDataset
from curricle.tasks.order import OrderStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step


@dataclass(frozen=True)
class MaterialisedOrderStep(Step):
    """An order with the samples themselves."""

    kind: ClassVar[str] = "order"
    verb: ClassVar[str] = "materialise"
    order: OrderStep

    @property
    def name(self) -> str:
        """The order's name."""
        return f"{self.order.name}-materialised"

    @property
    def label(self) -> str:
        """The order's label."""
        return self.order.label

    @property
    def spec(self) -> Mapping[str, Any]:
        """The length of a sample."""
        length = self.order.random.pool.sequence_length
        return {"order": "materialised", "sequence_length": length}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The dataset and the order."""
        return {"dataset": self.order.random.dataset, "order": self.order}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write the samples."""
        del session
        length = self.order.random.pool.sequence_length
        return materialise(TokenDataset(inputs["dataset"], length), inputs["order"], folder)
