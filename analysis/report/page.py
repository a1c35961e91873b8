"""The shell of a page: one file with everything in it."""

import functools
from collections.abc import Iterable, Mapping
from importlib.resources import files

from curricle.analysis.cautions import Caution
from curricle.analysis.report import markup
from curricle.analysis.report.markup import Markup, Part


def page(title: str, facts: str, sections: Mapping[str, Markup | None], *top: Part) -> str:
    """A whole page: heading, links to the sections that there are, `top`, and the sections.

    A section's anchor follows from its name (`markup.anchor`).
    """
    shown = {name: section for name, section in sections.items() if section}
    links = (markup.tag("a", name, href=f"#{markup.anchor(name)}") for name in shown)
    body = markup.tag(
        "body",
        markup.tag("header", markup.tag("h1", title), markup.paragraph(facts)),
        markup.tag("nav", *links),
        markup.tag("main", *top, *shown.values()),
        markup.tag("script", Markup(_resource("page.js"))),
    )
    return f"<!doctype html>\n{markup.tag('html', _head(title), body, lang='en')}\n"


def cautions_list(found: Iterable[tuple[str, Caution]]) -> Markup | None:
    """(place, caution) as a list; nothing without any."""
    items = [
        markup.tag("li", caution.text, markup.tag("small", f" ({place})") if place else None)
        for place, caution in found
    ]
    return markup.tag("ul", *items, class_="cautions") if items else None


def _head(title: str) -> Markup:
    return markup.tag(
        "head",
        markup.tag("meta", charset="utf-8"),
        markup.tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        markup.tag("title", f"{title} – Curricle"),
        markup.tag("style", Markup(_resource("page.css"))),
    )


@functools.cache
def _resource(name: str) -> str:
    return (files("curricle.analysis.report") / name).read_text(encoding="utf-8")
