"""Anybody's table: every part of the answer, and every way in which a table can be wrong."""

import json

import numpy as np
import pandas as pd
import pytest

from curricle.analysis.report.table import render_table_report
from curricle.analysis.table_ranking import rank_table
from curricle.analysis.table_summary import render_table_ranking
from curricle.core.errors import InputError
from curricle.core.plain import to_plain

DIMENSIONS = ["mix"] * 5 + ["dedup"] * 4 + ["quality"] * 3


def made_up(recipes: int = 12, domains: tuple[str, ...] = ("code", "web")) -> pd.DataFrame:
    """Two proxies and a target: `tiny` is nearly right, `blind` knows nothing."""
    random = np.random.default_rng(1)
    truth = np.linspace(-0.1, 0.1, recipes)
    random.shuffle(truth)
    guesses = random.normal(0, 0.06, recipes)
    rows = []
    for stage, method, values, noise, seeds, flops in (
        ("proxy", "tiny", truth, 0.004, 3, 1e12),
        ("proxy", "blind", guesses, 0.0, 1, 1e9),
        ("target", None, truth, 0.01, 3, 2e13),
    ):
        for place in range(recipes + 1):
            bad = place == recipes
            name, value = ("bad", 0.9) if bad else (f"r{place}", values[place])
            extra = (None, "bad-control") if bad else (DIMENSIONS[place % 12], "candidate")
            for seed in range(seeds):
                for domain in domains:
                    found = 3 + value + random.normal(0, noise)
                    rows.append((name, seed, domain, found, stage, method, flops, *extra))
    columns = ["recipe", "seed", "domain", "value", "stage", "method", "flops"]
    return pd.DataFrame(rows, columns=[*columns, "dimension", "role"])


TABLE = made_up()
PLAIN = TABLE[TABLE["method"] == "tiny"][["recipe", "seed", "domain", "value"]]


def test_every_part_of_a_full_table_is_there() -> None:
    result = rank_table(TABLE)
    assert list(result.proxies) == ["tiny", "blind"]
    assert list(result.target) == ["average", "code", "web"]
    assert result.methods is not None
    tiny, blind = result.methods.of("average")
    assert tiny.spearman is not None
    assert blind.spearman is not None
    assert tiny.spearman.value > 0.9 > 0.7 > blind.spearman.value
    assert tiny.flops == 13 * 3 * 1e12, "the bad control's runs cost too"
    assert {item.group for item in result.methods.agreements} == {
        "all recipes",
        "mix",
        "dedup",
        "quality",
    }
    assert ("", "low-agreement") in [(place, item.name) for place, item in result.cautions()]
    assert result.averages()["tiny"]["bad"].verdict == "worse"
    json.dumps(to_plain(result))


def test_the_text_fits_and_says_what_matters() -> None:
    text = render_table_ranking(rank_table(TABLE))
    assert max(map(len, text.splitlines())) <= 100
    for part in (
        "tiny: mean over domains, 3 seeds",
        "bad *",
        "Agreement with the target ranking",
        "Ceiling of any rho",
        "tiny minus blind",
        "Pairs that the target orders otherwise",
        "blind agrees with the target by rho",
    ):
        assert part in text


def test_the_report_is_one_page_with_every_figure() -> None:
    page = render_table_report("results.csv", rank_table(TABLE))
    for part in ("Proxies against the target", "Ranking by tiny", "Ranking by target", "Flips of"):
        assert part in page
    assert page.count("<svg") == 2 + 3 * 2
    assert len(page) < 1_000_000


def test_a_bare_table_is_ranked_without_a_target() -> None:
    result = rank_table(PLAIN, baseline="r3")
    assert result.methods is None
    assert result.averages()["proxy"].baseline == "r3"
    assert "Agreement" not in render_table_ranking(result)
    assert "Proxies against" not in render_table_report("t", result)


def test_one_domain_is_its_own_average() -> None:
    result = rank_table(PLAIN[PLAIN["domain"] == "web"])
    assert list(result.proxies["proxy"]) == ["average"]


def test_names_from_the_table_stay_text() -> None:
    hostile = "<script>alert(1)</script>"
    table = TABLE[TABLE["domain"] == "web"]
    table = table.replace({"recipe": {"r0": hostile}, "method": {"tiny": hostile}})
    page = render_table_report(hostile, rank_table(table))
    assert "<script>alert" not in page


def test_documents_are_read_from_their_column() -> None:
    parts = [PLAIN.assign(document=k, value=PLAIN["value"] + k) for k in range(12)]
    result = rank_table(pd.concat(parts))
    assert result.averages()["proxy"].recipes[0].difference_low is not None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (PLAIN.drop(columns="domain"), "a table without domain"),
        (PLAIN.assign(loss=1.0), "unknown column 'loss'"),
        (PLAIN[:0], "a table without rows"),
        (PLAIN.assign(recipe=PLAIN["recipe"].where(PLAIN["recipe"] != "r0")), "no recipe in row 1"),
        (PLAIN.assign(stage="test"), "stage 'test'"),
        (PLAIN.assign(method="target"), "a proxy method called 'target'"),
        (PLAIN.assign(role=["a", "b"] * (len(PLAIN) // 2)), "with two entries in role"),
        (PLAIN.assign(value="low"), "column value"),
        (TABLE.assign(flops="many"), "column flops"),
        (pd.concat([PLAIN, PLAIN]), "two values for recipe"),
        (PLAIN[PLAIN["recipe"] == "r1"], "one recipe with values"),
        (PLAIN.assign(role="control"), "controls alone"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(table: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rank_table(table)


SCORES = pd.DataFrame(
    [
        # The accuracies' means: a 0.30, b 0.50, c 0.40; by the target: a 0.30, b 0.55, c 0.60.
        (stage, recipe, seed, task, mean + shift + 0.01 * seed + 0.001 * noise)
        for stage, means in (
            ("proxy", {"a": 0.30, "b": 0.50, "c": 0.40}),
            ("target", {"a": 0.30, "b": 0.55, "c": 0.60}),
        )
        for recipe, mean in means.items()
        for task, shift in (("arc", -0.1), ("piqa", 0.1))
        for seed, noise in enumerate({"a": (1, 0, -1), "b": (-1, 1, 0), "c": (0, -1, 1)}[recipe])
    ],
    columns=["stage", "recipe", "seed", "task", "value"],
)


def test_higher_is_better_by_hand() -> None:
    result = rank_table(SCORES, higher_is_better=True)
    assert list(result.target) == ["average", "arc", "piqa"]
    proxy = result.proxies["proxy"]["average"]
    assert [item.recipe for item in proxy.recipes] == ["b", "c", "a"]
    assert [item.rank for item in proxy.recipes] == [1, 2, 3]
    b = proxy["b"]
    assert (b.mean, b.difference) == pytest.approx((0.51, 0.2))
    assert b.verdict == "better"
    assert 0 < (b.difference_low or 0) < 0.2 < (b.difference_high or 0)
    assert (b.low or 0) < b.mean < (b.high or 0)
    assert b.seed_values == pytest.approx((0.499, 0.511, 0.52))
    assert b.probability_best == pytest.approx(1.0, abs=1e-3)
    pair = proxy.pairs[0]
    assert (pair.first, pair.second, pair.verdict) == ("b", "c", "better")
    assert (pair.low or 0) < pair.difference == pytest.approx(0.1)
    assert result.methods is not None
    found = result.methods.of("average")[0]
    # The proxy's b has 0.55 in the target, whose best has 0.60; two of three pairs are right.
    assert found.regret["1"].value == pytest.approx(0.05)
    assert found.decision_accuracy.value == pytest.approx(2 / 3)
    flip = found.agreement.flips[0]
    assert {flip.first: flip.proxy_difference, flip.second: -flip.proxy_difference} == {
        "b": pytest.approx(0.1),
        "c": pytest.approx(-0.1),
    }
    assert abs(flip.target_difference) == pytest.approx(0.05)
    assert flip.proxy_difference * flip.target_difference < 0
    assert to_plain(result)["higher_is_better"] is True


def test_scores_are_ranked_as_their_negatives_are() -> None:
    scores = rank_table(TABLE.assign(value=-TABLE["value"]), higher_is_better=True)
    losses = rank_table(TABLE)
    for method, ranking in losses.averages().items():
        other = scores.averages()[method]
        assert [(x.recipe, x.verdict, x.probability_best) for x in other.recipes] == [
            (x.recipe, x.verdict, x.probability_best) for x in ranking.recipes
        ]
    assert scores.methods is not None
    assert losses.methods is not None
    for one, two in zip(scores.methods.agreements, losses.methods.agreements, strict=True):
        assert (one.spearman, one.regret) == (two.spearman, two.regret)


def test_text_and_page_say_that_higher_is_better() -> None:
    result = rank_table(SCORES, higher_is_better=True)
    text = render_table_ranking(result)
    assert "higher is better" in text
    assert ["rank", "recipe", "value"] in [line.split()[:3] for line in text.splitlines()]
    page = render_table_report("t", result)
    assert "right is better" in page
    assert "positive is better" in page
    assert "nats" not in page.replace("in nats per token", "")
    losses = render_table_report("t", rank_table(PLAIN))
    assert "left is better" in losses
    assert "negative is better" in losses
