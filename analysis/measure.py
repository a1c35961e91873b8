"""What a table's values are: losses (the lowest is best), or scores (the highest is)."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How tables and figures name the values, and which way is better."""

    name: str
    unit: str
    higher_is_better: bool

    @property
    def sign(self) -> int:
        """1 if lower is better, else -1."""
        return -1 if self.higher_is_better else 1

    @property
    def better_side(self) -> str:
        """Where the better recipes stand in a figure."""
        return "right" if self.higher_is_better else "left"

    @property
    def better_sign(self) -> str:
        """The sign of a difference that is an improvement."""
        return "positive" if self.higher_is_better else "negative"

    @property
    def in_unit(self) -> str:
        """` in nats`, or nothing."""
        return f" in {self.unit}" if self.unit else ""

    @property
    def comma_unit(self) -> str:
        """`, nats`, or nothing."""
        return f", {self.unit}" if self.unit else ""


LOSS = Measure(name="Loss", unit="nats", higher_is_better=False)
SCORE = Measure(name="Value", unit="", higher_is_better=True)
