import numpy as np
import pytest
from scipy.stats import spearmanr

from curricle.analysis.content import ScoredText
from curricle.analysis.score_quality import (
    MeasuredScore,
    ScoreQualities,
    judge_scores,
    spearman,
)
from curricle.analysis.score_summary import render_ends, render_scores

DRAW = np.random.default_rng(0)
DOMAINS = ["a"] * 400 + ["b"] * 400
TRUTH = np.concatenate([DRAW.normal(0, 1, 400), DRAW.normal(5, 1, 400)])


def noisy(noise: float) -> np.ndarray:
    return TRUTH + DRAW.normal(0, noise, 800)


@pytest.fixture(scope="module")
def found() -> ScoreQualities:
    good = MeasuredScore(
        name="good",
        by_seed=[noisy(0.1), noisy(0.1), noisy(0.1)],
        halves=np.stack([noisy(0.3), noisy(0.3)]),
        variants=[noisy(0.1), noisy(0.1)],
        by_own_proxy=[(TRUTH, noisy(0.5)), (TRUTH, noisy(0.5))],
    )
    # Tells the domains apart and nothing else.
    poor = MeasuredScore(
        name="poor", by_seed=[noisy(3.0)], halves=np.stack([noisy(3.0), noisy(3.0)])
    )
    joined = MeasuredScore(name="joined", by_seed=[-TRUTH])
    return judge_scores([good, poor, joined], DOMAINS)


def test_correlations_are_scipys_inside_domains_and_over_all(found: ScoreQualities) -> None:
    one, other = noisy(0.5), noisy(0.5)
    quality = judge_scores(
        [MeasuredScore(name="x", by_seed=[one], halves=np.stack([one, other]))], DOMAINS
    ).scores[0]
    inside = [spearmanr(one[part], other[part]).statistic for part in np.split(np.arange(800), 2)]
    assert quality.split_half == pytest.approx(np.mean(inside))
    assert quality.split_half_overall == pytest.approx(spearmanr(one, other).statistic)
    assert [item.split_half for item in quality.domains] == pytest.approx(inside)


def test_a_score_that_only_tells_domains_apart_is_warned_of(found: ScoreQualities) -> None:
    good, poor, joined = found.scores
    assert good.is_reliable
    assert poor.is_reliable is False
    assert poor.split_half_overall is not None
    assert poor.split_half is not None
    assert poor.split_half_overall > poor.split_half + 0.1
    assert joined.is_reliable is None
    (warning,) = found.warnings
    assert warning.startswith("poor is not worth ranking by: the halves of a sample agree to 0.")


def test_agreement_between_proxies_and_checkpoints(found: ScoreQualities) -> None:
    good, poor, _ = found.scores
    assert good.between_seeds == pytest.approx(0.98, abs=0.02)
    assert good.between_checkpoints == pytest.approx(0.98, abs=0.02)
    assert good.between_proxies is not None
    assert 0.8 < good.between_proxies < 0.95
    assert poor.between_seeds is None
    assert poor.between_proxies is None


def test_domains_that_a_score_favours_are_seen(found: ScoreQualities) -> None:
    first, second = found.scores[0].domains
    assert (first.lift, second.lift) == (0.0, 2.0)
    assert found.scores[0].between_domains > 0.8
    assert second.median > first.high
    flat = judge_scores([MeasuredScore(name="x", by_seed=[DRAW.normal(size=800)])], DOMAINS)
    assert flat.scores[0].between_domains < 0.02
    assert all(0.8 < domain.lift < 1.2 for domain in flat.scores[0].domains)


def test_correlations_between_scores(found: ScoreQualities) -> None:
    assert list(found.correlations) == ["good", "poor", "joined"]
    table = found.correlations.to_numpy()
    assert table[0, 2] == table[2, 0] < -0.95
    assert table[0, 0] == 1.0


def test_what_is_too_short_or_constant_has_no_correlation() -> None:
    assert spearman(np.arange(9.0), np.arange(9.0)) is None
    assert spearman(np.arange(20.0), np.zeros(20)) is None


def test_the_table_says_which_score_to_leave_alone(found: ScoreQualities) -> None:
    text = render_scores(found)
    assert "warning: poor is not worth ranking by" in text
    line = next(line for line in text.splitlines() if line.startswith("good "))
    assert line.split()[1] == f"{found.scores[0].split_half:.2f}"


def test_the_table_names_each_domain_whose_halves_disagree(found: ScoreQualities) -> None:
    text = render_scores(found)
    good, poor = (text.split(f"{name}: 5 %")[1].split("\n\n")[0] for name in ("good", "poor"))
    assert "split half" not in good
    a, b = found.scores[1].domains
    assert f"split half {a.split_half:.2f}" in poor.splitlines()[1]
    assert f"split half {b.split_half:.2f}" in poor.splitlines()[2]


def test_examples_of_both_ends_are_harmless_lines_of_the_terminals_width() -> None:
    hostile = "import os\n\x1b[31mred\x07 half \ud83d of a pair " + "word " * 50
    ends = {
        "good": (
            ScoredText(domain="python", score=4.123, text=hostile),
            ScoredText(domain="zh", score=-0.5, text="\u6f22" * 200),
        )
    }
    title, high, low = render_ends(ends, 60).splitlines()
    assert title == "good: samples from both ends, the highest first"
    assert high.startswith(r"      4.12  python  import os \x1b[31mred\x07 half \ud83d of")
    assert len(high) == 60
    assert low == "      -0.5  zh      " + "\u6f22" * 20
