"""HTML as values: text is escaped unless it is `Markup`, so nothing from data can become a tag."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from curricle.analysis.verdicts import Verdict

_VOID = {"meta", "br", "hr"}
_SYMBOLS = {"better": "▲", "worse": "▼", "cannot tell": "○", "baseline": "•"}


class Markup(str):
    """A string that is HTML already."""

    __slots__ = ()


Part = str | Markup | None


def text(part: Part) -> Markup:
    """`part` as HTML: escaped unless it is `Markup`; None is nothing.

    What UTF-8 can't hold (half of a surrogate pair, from a damaged document) becomes a `?`.
    """
    if part is None or isinstance(part, Markup):
        return part or Markup("")
    return Markup(html.escape(part.encode("utf-8", "replace").decode("utf-8"), quote=True))


def join(parts: Iterable[Part]) -> Markup:
    """The parts after one another."""
    return Markup("".join(text(part) for part in parts))


def tag(name: str, /, *children: Part, **attributes: str | None) -> Markup:
    """An element. An attribute's trailing underscore is dropped (`class_`), other underscores
    become hyphens, and None leaves the attribute out.
    """
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value, quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{join(children)}</{name}>")


@dataclass(frozen=True)
class Column:
    """A table's column; `hint` explains its heading on hover, `wrap` lets its text break."""

    label: str
    numeric: bool = True
    hint: str | None = None
    wrap: bool = False

    @property
    def style(self) -> str | None:
        """The class of the column's cells; a number's is none."""
        if self.numeric:
            return None
        return "name wrap" if self.wrap else "name"


@dataclass(frozen=True)
class Value:
    """A cell that sorts by `key` rather than by its text; None sorts last."""

    shown: Part
    key: float | None


def table(
    columns: Sequence[Column], rows: Iterable[Sequence[Part | Value]], *, sortable: bool = True
) -> Markup:
    """A table in a box that scrolls; a click on a heading sorts it."""
    head = (
        tag("th", item.label, class_=item.style, title=item.hint, scope="col") for item in columns
    )
    body = (
        tag("tr", *(_cell(cell, column) for cell, column in zip(row, columns, strict=True)))
        for row in rows
    )
    element = tag(
        "table",
        tag("thead", tag("tr", *head)),
        tag("tbody", *body),
        class_="sortable" if sortable else None,
    )
    return tag("div", element, class_="scroll")


def _cell(cell: Part | Value, column: Column) -> Markup:
    shown = cell.shown if isinstance(cell, Value) else cell
    key = None
    if isinstance(cell, Value):
        key = "" if cell.key is None else repr(float(cell.key))
    if column.numeric and not isinstance(shown, Markup):
        shown = minus(shown or "")
    return tag("td", shown, class_=column.style, data_sort=key)


def minus(number: str) -> str:
    """A hyphen in front of a digit as a true minus sign."""
    return re.sub(r"(?<!\w)-(?=\d)", "−", number)


def verdict(value: Verdict, seeds: int | None = None) -> Markup:
    """A verdict with its sign, and the seeds that would settle it."""
    more = tag("small", f" {seeds} seeds") if seeds else None
    name = value.replace(" ", "-")
    return tag("span", tag("i", _SYMBOLS[value]), value, more, class_=f"verdict {name}")


def sign(value: Verdict) -> Markup:
    """A verdict's sign alone, with its name on hover."""
    name = value.replace(" ", "-")
    return tag("span", tag("i", _SYMBOLS[value]), class_=f"verdict {name}", title=value)


def prose(sentence: str) -> str:
    """`sentence` with its numbers kept in one piece: no line break in `95 %` or `1e-4`."""
    joined = re.sub(r"(?<=\d) (?=%)", "\u00a0", sentence)
    return re.sub(r"(?<=\de)-(?=\d)", "-\u2060", joined)


def paragraph(*parts: Part, class_: str | None = None) -> Markup:
    """A paragraph."""
    return tag("p", *parts, class_=class_)


def figure(svg: str, caption: str) -> Markup:
    """An inline SVG with its caption."""
    drawing = tag("div", Markup(svg), class_="scroll")
    return tag("figure", drawing, tag("figcaption", caption))


def details(summary: str, *children: Part) -> Markup:
    """Something to unfold."""
    return tag("details", tag("summary", summary), *children)


def anchor(title: str) -> str:
    """The id of the section with this title."""
    return title.lower().replace(" ", "-")


def section(anchor: str, title: str, *children: Part) -> Markup:
    """A section with a heading that the navigation can link to."""
    return tag("section", tag("h2", title), *children, id=anchor)
