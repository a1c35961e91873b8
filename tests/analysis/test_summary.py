import pandas as pd

from curricle.analysis.content import ReportContent
from curricle.analysis.findings import findings_of
from curricle.analysis.summary import headline_of, render_summary


def test_the_headline_is_that_of_the_findings(content: ReportContent) -> None:
    assert headline_of(render_summary(content)) == findings_of(content).headline


def test_before_there_is_a_ranking_the_datasets_are_shown() -> None:
    corpus = pd.DataFrame(
        [
            {"recipe": "all", "domain": "a", "documents": 1000, "tokens": 50_000},
            {"recipe": "all", "domain": "b", "documents": 500, "tokens": 20_000},
            {"recipe": "few", "domain": "a", "documents": 900, "tokens": 45_000},
        ]
    )
    drops = pd.DataFrame(
        [
            {"recipe": "few", "reason": "too-short", "documents": 450},
            {"recipe": "few", "reason": "too-short", "documents": 50},
            {"recipe": "few", "reason": "symbols", "documents": 100},
        ]
    )
    lines = render_summary(ReportContent(study="s", corpus=corpus, drops=drops)).splitlines()
    cells = [line.split() for line in lines]
    assert ["all", "1,500", "70,000"] in cells
    assert ["few", "900", "45,000", "too-short", "500,", "symbols", "100"] in cells


def test_variants_are_compared_with_the_own_ranking(content: ReportContent) -> None:
    lines = [line.split() for line in render_summary(content).splitlines()]
    assert ["pythia,", "1e-4", "7", "0.93", "90", "%", "2", "0"] in lines
    assert ["half,", "1e-4", "4", "1.00", "100", "%", "0", "0"] in lines
