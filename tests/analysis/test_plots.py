"""Figures: deterministic, embeddable, and drawn for every shape of study."""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from curricle.analysis import plots
from curricle.analysis.content import ReportContent
from curricle.analysis.plots import style
from curricle.analysis.plots.cells import Cell, cells_figure
from curricle.analysis.plots.perplexity import perplexity_figure
from curricle.analysis.ranking import rank

Draw = Callable[[ReportContent], Figure]


def sharpness(content: ReportContent) -> pd.DataFrame:
    rows = content.evaluation
    assert rows is not None
    return rows[rows["metric"].str.startswith("sharpness/")]


def bits(content: ReportContent) -> pd.DataFrame:
    rows = content.evaluation
    assert rows is not None
    return rows[rows["metric"] == "validation/bits_per_byte"]


FIGURES: dict[str, Draw] = {
    "ranking": lambda c: plots.ranking_figure(c.tiny),  # type: ignore[arg-type]
    "flow": lambda c: plots.rank_flow_figure(c.rankings()),
    "domains": lambda c: plots.domains_figure(c.tiny, c.domains),  # type: ignore[arg-type]
    "seeds": lambda c: plots.seeds_figure(c.tiny),  # type: ignore[arg-type]
    "arms": lambda c: plots.arms_figure(c.averages()),
    "arm-domains": lambda c: plots.arm_domains_figure(c.comparisons),
    "curves": lambda c: plots.curves_figure(c.curves, "random", c.curricula),  # type: ignore[arg-type]
    "perplexity": lambda c: plots.perplexity_figure(bits(c), c.arms(), c.curricula),
    "scores": lambda c: plots.score_figure(c.scores, c.score),  # type: ignore[arg-type]
    "documents": lambda c: plots.documents_figure(c.documents, c.curricula),
    "sharpness": lambda c: plots.sharpness_figure(sharpness(c), c.arms(), c.curricula),
    "sharpness-curves": lambda c: plots.sharpness_curves_figure(
        sharpness(c), c.arms(), c.curricula
    ),
    "letters": lambda c: plots.letters_figure(c.letters),
    "costs": lambda c: plots.costs_figure(c.costs),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", FIGURES)
def test_svg_is_deterministic_small_and_embeddable(name: str, content: ReportContent) -> None:
    svg = plots.to_svg(FIGURES[name](content), name)
    assert svg == plots.to_svg(FIGURES[name](content), name)
    assert len(svg) < 100_000
    root = ElementTree.fromstring(svg)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert all(str(key).startswith(f"{name}-") for key in ids)
    assert {f"{key}" for key in re.findall(r"url\(#([^)]+)\)", svg)} <= set(ids)
    assert "<style" not in svg
    assert "<script" not in svg


def test_png_is_a_png(content: ReportContent) -> None:
    assert plots.to_png(FIGURES["ranking"](content)).startswith(b"\x89PNG\r\n")


def test_names_of_any_kind_are_drawn_as_they_are() -> None:
    names = ["base", "$x^2$ & <b>", "100 % \\frac"]
    rows = [
        (name, seed, place + 0.1 * seed * place)
        for place, name in enumerate(names)
        for seed in range(3)
    ]
    ranking = rank(pd.DataFrame(rows, columns=["recipe", "seed", "value"]), "base")
    for figure in (plots.ranking_figure(ranking), plots.seeds_figure(ranking)):
        plots.to_svg(figure, "odd")
    text = "".join(
        ElementTree.fromstring(plots.to_svg(plots.ranking_figure(ranking), "odd")).itertext()
    )
    for name in names:
        assert name in text


def test_a_ranking_without_intervals_is_drawn() -> None:
    table = pd.DataFrame([("a", 0, 1.0), ("b", 0, 2.0)], columns=["recipe", "seed", "value"])
    ranking = rank(table, "a")
    assert plots.to_svg(plots.ranking_figure(ranking), "thin")
    assert plots.to_svg(plots.domains_figure(ranking, {"x": ranking}), "thin")


@pytest.mark.parametrize(("loss", "marker", "text"), [(-3.0, "<", "-4.0"), (9.0, ">", "+8.0")])
def test_a_control_far_off_stands_at_the_edge_with_its_value(
    loss: float, marker: str, text: str
) -> None:
    losses = {"a": 1.0, "b": 1.1, "control": loss}
    values = [(name, seed, at + 0.1 * seed) for name, at in losses.items() for seed in range(3)]
    table = pd.DataFrame(values, columns=["recipe", "seed", "value"])
    figure = plots.ranking_figure(rank(table, "a", roles={"control": "bad-control"}))
    (axes,) = figure.axes
    (edge,) = [line for line in axes.lines if line.get_marker() == marker]
    assert np.asarray(edge.get_xdata())[0] in axes.get_xlim()
    assert any(written.get_text().startswith(text) for written in axes.texts)


@pytest.mark.filterwarnings("error")
def test_an_arm_that_isnt_evaluated_yet_has_an_empty_row() -> None:
    rows = pd.DataFrame({"domain": ["web"] * 2, "curriculum": ["random"] * 2, "value": [1.0, 1.1]})
    arms = ("random", "learnability")
    figure = perplexity_figure(rows, arms, arms[1:])
    (axes,) = figure.axes
    seeds = [line for line in axes.lines if line.get_marker() == "o"]
    assert [np.size(line.get_xdata()) for line in seeds] == [2]


def test_rankings_of_other_recipes_are_drawn_side_by_side(content: ReportContent) -> None:
    alone = replace(content, standard=None)
    svg = plots.to_svg(plots.rank_flow_figure(alone.rankings()), "flow")
    assert "minhash-dedup" in svg


def overlapping(figure: Figure, texts: Sequence[Text]) -> list[tuple[str, str]]:
    """Pairs of texts that are drawn one over the other."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]
    return [
        (one, other)
        for (one, box), (other, next_box) in itertools.combinations(boxes, 2)
        if box.overlaps(next_box)
    ]


def test_names_of_curves_that_end_together_stand_apart() -> None:
    figure = style.new_figure(500, 250)
    axes = style.panel(figure, 50, 20, 300, 150)
    axes.set_ylim(0, 1)
    ends = {"bf16": 0.01, "fp32": 0.0, "loss": 0.02}
    style.name_ends(axes, 1.0, ends, dict.fromkeys(ends, style.INK))
    assert overlapping(figure, axes.texts) == []
    assert [text.get_text() for text in axes.texts] == ["fp32", "bf16", "loss"]


def test_long_names_of_columns_are_broken() -> None:
    names = [f"rate 3e-3, stopped at {50176 * step}" for step in range(1, 8)]
    grid = [[Cell(value=0.5, text="0.50") for _ in names] for _ in range(3)]
    figure = cells_figure(["average", "ArXiv", "Books"], names, grid, 1.0, "Spearman correlation")
    (axes,) = figure.axes
    titles = [axes.title, axes._left_title]  # type: ignore[attr-defined]
    assert overlapping(figure, [*axes.get_xticklabels(), *titles]) == []
