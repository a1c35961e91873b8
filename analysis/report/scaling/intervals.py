"""Intervals and budgets as the report of a ladder writes them."""

from curricle.analysis import formatting
from curricle.analysis.scaling.differences import Difference
from curricle.analysis.scaling.ladder import LadderTables


def interval_text(one: Difference, digits: int = 4) -> str:
    """The ends of a difference's interval."""
    if one.low is None or one.high is None:
        return "no interval"
    return f"{one.low:+.{digits}f} to {one.high:+.{digits}f}"


def ends_text(ends: tuple[float, float] | None) -> str:
    """The ends of an interval; nothing without one."""
    return "" if ends is None else f"{ends[0]:+.4f} to {ends[1]:+.4f}"


def budget_name(tables: LadderTables, budget: int) -> str:
    """The tokens of a budget, or its number where it gives each size others."""
    rows = tables.main[tables.main["budget"] == budget]
    tokens = rows["tokens"].unique()
    if len(tokens) > 1:
        return f"budget {budget + 1}"
    return f"{formatting.quantity(float(tokens[0]))} tokens"
