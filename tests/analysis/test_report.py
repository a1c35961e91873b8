"""The report: one file, nothing fetched, nothing from data taken for markup."""

import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pandas as pd
import pytest

from curricle.analysis.cautions import Caution
from curricle.analysis.content import ReportContent, ScoredText, StageProgress
from curricle.analysis.ranking import rank
from curricle.analysis.report import render_report
from curricle.analysis.report.figures import standalone_figures

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"&"
VOID = {"meta", "br", "hr"}


class _Balanced(HTMLParser):
    """Fails on an element that is closed without being open, and keeps ids, links and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.ids += [str(values["id"])] if "id" in values else []
        self.links += [str(values["href"])] if tag == "a" else []
        assert not any(name.startswith("on") or name == "src" for name in values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _parsed(page: str) -> _Balanced:
    parser = _Balanced()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_page_is_whole_and_self_contained(content: ReportContent) -> None:
    page = render_report(content)
    parser = _parsed(page)
    assert len(parser.ids) == len(set(parser.ids))
    assert {link.removeprefix("#") for link in parser.links} <= set(parser.ids)
    outside = set(re.findall(r"https?://[^\s\"'<)]+", page))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in page
    assert "url(" not in re.sub(r"url\(#", "", page)
    assert len(page) < 1_000_000


def test_same_content_gives_the_same_bytes(content: ReportContent) -> None:
    assert render_report(content) == render_report(content)


def test_every_section_is_there(content: ReportContent) -> None:
    page = render_report(content)
    for part in (
        "Use text-heavy",
        "All pairs (36)",
        "Tiny against standard rate",
        "Confirmation at the target",
        "Variants of the proxy",
        "pythia, 1e-4 → tiny rate 1e-4",
        "Curricula",
        "with replacement",
        "311–318",
        "Perplexity",
        "Bits per byte",
        "Always giving the same letter",
        "Largest Hessian eigenvalue",
        "Bits per byte of each domain",
        'href="#multiple-choice"',
        "Perplexity by document",
        "paired by document",
        "converged to the smallest eigenvalue in 0 of 24",
        "Learnability",
        "near-duplicate 130",
        "31.8 TFLOP",
        "Method",
        "0123abcd",
    ):
        assert part in page


def test_sections_without_data_are_left_out() -> None:
    page = render_report(ReportContent(study="young", status="running"))
    parser = _parsed(page)
    assert parser.ids == ["method"]
    assert "No results yet." in page


@pytest.mark.parametrize("name", [item.name for item in fields(ReportContent)])
def test_any_part_may_be_missing(name: str, content: ReportContent) -> None:
    empty = ReportContent(study="young")
    _parsed(render_report(replace(content, **{name: getattr(empty, name)})))


def test_nothing_from_data_becomes_markup(content: ReportContent) -> None:
    rows = [
        (name, seed, place + seed)
        for place, name in enumerate(("base", HOSTILE))
        for seed in range(3)
    ]
    ranking = rank(pd.DataFrame(rows, columns=["recipe", "seed", "value"]), "base")
    assert content.corpus is not None
    hostile = replace(
        content,
        study=HOSTILE,
        status=HOSTILE,
        tiny=ranking,
        standard=ranking,
        domains={HOSTILE: ranking},
        corpus=content.corpus.assign(recipe=HOSTILE),
        cautions=(Caution(name="odd", text=HOSTILE),),
        examples=(ScoredText(domain=HOSTILE, score=1.0, text=HOSTILE),),
        provenance={HOSTILE: HOSTILE},
        spec=HOSTILE,
    )
    page = render_report(hostile)
    parser = _parsed(page)
    assert parser.tags.count("script") == 1
    assert "img" not in parser.tags
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_damaged_text_can_still_be_written(content: ReportContent) -> None:
    broken = (ScoredText(domain="prose", score=1.0, text="half \ud83d of a pair"),)
    page = render_report(replace(content, examples=broken))
    assert "half ? of a pair" in page
    assert page.encode("utf-8")


def test_tables_sort_by_number_where_text_would_mislead(content: ReportContent) -> None:
    page = render_report(content)
    assert content.tiny is not None
    best = content.tiny.best
    assert f'data-sort="{best.mean!r}"' in page
    assert "aria-sort" in page


def test_three_hundred_recipes_stay_a_page() -> None:
    random = pd.Series(range(300))
    rows = [
        (f"recipe-{k}", seed, k / 100 + ((k * 7 + seed * 13) % 11) / 500)
        for k in random
        for seed in range(3)
    ]
    ranking = rank(pd.DataFrame(rows, columns=["recipe", "seed", "value"]), "recipe-0")
    content = ReportContent(study="large", tiny=ranking, domains={"x": ranking, "y": ranking})
    page = render_report(content)
    assert len(page) < 4_000_000
    assert "All pairs (44,850)" in page
    assert page.count("<tr") < 1_000


def test_bits_per_byte_before_and_after_rounding_have_a_table(content: ReportContent) -> None:
    assert content.evaluation is not None
    rows = content.evaluation
    before = rows[rows["metric"] == "validation/bits_per_byte"]
    after = before.assign(metric="validation/bits_per_byte_int6", value=before["value"] + 0.25)
    assert "weights in 6 bits" not in render_report(content)
    average = [part.assign(domain="average") for part in (before, after)]
    page = render_report(replace(content, evaluation=pd.concat([rows, *average])))
    table = page[page.index("Bits per byte, mean over domains") :]
    assert "… weights in 6 bits" in table[: table.index("</table>")]


def test_equal_cost_and_schedules_have_tables(content: ReportContent) -> None:
    page = render_report(content)
    assert "time, extrapolated" in page
    assert "constant, averaged" in page
    assert "in 6 bits" in page
    assert "Extrapolated: the line through the control and its longer run goes on" in page


def test_a_page_tells_what_is_on_its_way_from_what_failed() -> None:
    progress = (StageProgress(stage="rank", steps=4, done=3, next=("train proxy a",)),)
    under_way = render_report(ReportContent(study="s", progress=progress))
    ended = render_report(ReportContent(study="s", progress=progress, ended=True))
    whole = (replace(progress[0], done=4, next=()),)
    finished = render_report(ReportContent(study="s", progress=whole, ended=True))
    for page in (under_way, ended):
        assert "train proxy a" in page
        assert ("study is under way" in page) != ("ended without what is missing" in page)
    assert "study is under way" in under_way
    assert "ended without what is missing" in ended
    assert "Progress" not in finished


def test_figures_stand_alone(content: ReportContent) -> None:
    figures = standalone_figures(render_report(content))
    assert {"ranking", "flow", "variant-ranks"} <= set(figures)
    for name, drawing in figures.items():
        root = ElementTree.fromstring(drawing)
        assert root.tag == "{http://www.w3.org/2000/svg}svg", name
        assert "var(" not in drawing
        assert "inherit" not in drawing
