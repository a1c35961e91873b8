"""Figures and curves of scaling laws."""

from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from tests.analysis.scaling.made_up import broken_runs, curricula_runs, power_runs

from curricle.analysis.plots import to_svg
from curricle.analysis.plots.scaling import break_figure, exponents_figure, law_figure
from curricle.analysis.scaling.breaks import find_breaks
from curricle.analysis.scaling.curricula import compare_curricula
from curricle.analysis.scaling.curves import curve_of
from curricle.analysis.scaling.fitting import fit_power

X = np.geomspace(1e4, 1e8, 30)


def _laws() -> Figure:
    straight = fit_power(power_runs(np.random.default_rng(51)), bootstrap=50)
    broken = find_breaks(broken_runs(np.random.default_rng(52), 1e5), bootstrap=50)
    curves = {"mix": curve_of(straight, X), "staged $": curve_of(broken, X)}
    return law_figure(curves, "parameters", control="mix")


def _breaks() -> Figure:
    found = find_breaks(broken_runs(np.random.default_rng(52), 1e5), bootstrap=50)
    return break_figure(found, "parameters")


def _no_break() -> Figure:
    found = find_breaks(power_runs(np.random.default_rng(51)), bootstrap=50)
    return break_figure(found, "parameters")


def _exponents() -> Figure:
    table = curricula_runs(
        np.random.default_rng(53), {"mix": 1.5, "staged": 1.5}, {"mix": 0.3, "staged": 0.33}
    )
    return exponents_figure(compare_curricula(table, "mix", bootstrap=50))


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (_laws, "staged $"),
        (_breaks, "break at"),
        (_no_break, "no break"),
        (_exponents, "staged"),
    ],
)
def test_figures_are_drawn_and_say_what_they_show(draw: object, text: str) -> None:
    assert callable(draw)
    svg = to_svg(draw(), "law")
    assert text in "".join(ElementTree.fromstring(svg).itertext())


def test_the_band_widens_beyond_the_points_and_holds_the_law() -> None:
    curve = curve_of(fit_power(power_runs(np.random.default_rng(51))), X)
    assert ((curve.low < curve.loss) & (curve.loss < curve.high)).all()
    width = np.log(curve.high / curve.low)
    assert width[-1] > 3 * width[np.searchsorted(X, 1e5)]
    bare = curve_of(fit_power(power_runs(np.random.default_rng(51)), bootstrap=0), X)
    np.testing.assert_allclose(bare.low, bare.loss)
