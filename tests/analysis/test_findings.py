"""What the findings say where the truth is planted: no more than the numbers back."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from curricle.analysis.comparison import Comparison, compare_arms
from curricle.analysis.content import ReportContent
from curricle.analysis.cost_matching import compare_at_equal_cost
from curricle.analysis.costs import SelectionCharge
from curricle.analysis.findings import findings_of
from curricle.analysis.plain_text import WIDTH
from curricle.analysis.ranking import Ranking, rank
from curricle.analysis.report import render_report
from curricle.analysis.summary import render_summary
from curricle.analysis.table_ranking import rank_table


def _table(effects: dict[str, float], noise: float, label: str, seeds: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(5)
    shared = random.normal(0, 1, seeds)
    rows = [
        (name, seed, 5 + effect + shared[seed] + random.normal(0, noise))
        for name, effect in effects.items()
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=[label, "seed", "value"])


def _ranking(effects: dict[str, float], noise: float = 0.01, seeds: int = 3) -> Ranking:
    roles = {name: "bad-control" for name in effects if name == "bad"}
    return rank(_table(effects, noise, "recipe", seeds), "base", roles)


def _arms(effects: dict[str, float], noise: float = 0.01) -> tuple[Comparison, ...]:
    return compare_arms(_table(effects, noise, "arm"), "random")


def _topics(content: ReportContent, topic: str) -> str:
    return " ".join(item.text for item in findings_of(content).items if item.topic == topic)


@pytest.mark.parametrize(
    ("effects", "noise", "headline"),
    [
        ({"base": 0, "good": -1, "poor": 1}, 0.01, "Use good: it is surely better than every"),
        ({"base": 0, "good": -1, "fine": -1.0, "poor": 1}, 0.05, "can't be told from it"),
        ({"base": 0, "poor": 1, "poorer": 2}, 0.01, "Keep base: it is surely better than every"),
        ({"base": 0, "one": 0.0, "two": 0.0}, 0.5, "Keep base: no recipe is"),
        ({"base": 0, "good": -1, "bad": -2}, 0.01, "Don't trust this ranking"),
        ({"base": 0, "bad": 1}, 0.01, "base is the only candidate: there is nothing to choose."),
    ],
)
def test_recipe_headlines(effects: dict[str, float], noise: float, headline: str) -> None:
    content = ReportContent(study="s", tiny=_ranking(effects, noise))
    assert headline in findings_of(content).headline


def test_without_repeats_nothing_is_told() -> None:
    content = ReportContent(study="s", tiny=_ranking({"base": 0, "good": -1}, seeds=1))
    assert "nothing can be told" in findings_of(content).headline


def test_target_size_that_contradicts_the_proxies_is_in_the_headline() -> None:
    content = ReportContent(
        study="s",
        tiny=_ranking({"base": 0, "good": -1, "poor": 1}),
        confirmation=_ranking({"base": -2, "good": -1, "poor": 1}),
    )
    assert "But at the target's size base surely beats good" in findings_of(content).headline


def _checked(proxy: list[float], target: list[float], noise: float = 0.001) -> ReportContent:
    """A study whose tiny rate has been compared with its tuned target."""
    rows = [
        (stage, "rate 1e-5", f"r{place:02}", seed, "average", 5 + effect + seed + noise * random)
        for stage, effects in (("proxy", proxy), ("target", target))
        for place, effect in enumerate(effects)
        for seed, random in enumerate(np.random.default_rng(place).normal(size=3))
    ]
    columns = ["stage", "method", "recipe", "seed", "domain", "value"]
    check = rank_table(pd.DataFrame(rows, columns=columns))
    tiny = check.proxies["rate 1e-5"]["average"]
    return ReportContent(study="s", tiny=tiny, tiny_rate=1e-5, check=check)


def test_a_tuned_target_that_ranks_otherwise_is_told_beside_the_recipe() -> None:
    effects = [float(place) for place in range(12)]
    opposed = _checked(effects, effects[::-1])
    agreement = _topics(opposed, "agreement")
    assert (
        "Over 12 candidates the tiny rate's ranking has a Spearman of -1.00 (-1.00 to" in agreement
    )
    assert agreement.endswith("bounds it by 1.00: don't decide by it.")
    assert "Spearman of only -1.00" in findings_of(opposed).headline
    assert [item.topic for item in findings_of(opposed).items][:2] == ["recipe", "agreement"]
    assert ("", "low-agreement") in [(place, one.name) for place, one in opposed.all_cautions()]
    for text in (render_summary(opposed), render_report(opposed)):
        assert "the rankings disagree" in " ".join(text.split())


def test_a_tuned_target_that_agrees_is_told_without_a_warning() -> None:
    effects = [float(place) for place in range(12)]
    alike = _checked(effects, effects)
    assert "Spearman of 1.00" in _topics(alike, "agreement")
    assert "decide" not in _topics(alike, "agreement") + findings_of(alike).headline
    assert "too few" in _topics(_checked(effects[:3], effects[:3]), "agreement")


def test_a_target_without_order_cannot_say() -> None:
    content = _checked([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], noise=0.0)
    assert "can't say" in _topics(content, "agreement")
    assert "can't say" in findings_of(content).headline


@pytest.mark.parametrize(
    ("effect", "noise", "headline"),
    [
        (-1.0, 0.01, "Use the sorted curriculum"),
        (1.0, 0.01, "Don't use the sorted curriculum"),
        (0.0, 0.1, "no effect of the sorted curriculum found"),
    ],
)
def test_curriculum_headlines(effect: float, noise: float, headline: str) -> None:
    comparisons = _arms({"random": 0, "sorted": effect, "anti": 0.5}, noise)
    content = ReportContent(study="s", comparisons=comparisons, curricula=("sorted",))
    assert headline in findings_of(content).headline


@pytest.mark.parametrize(
    ("longer", "headline", "verdict"),
    [
        (-2.0, "Keep the random order: the sorted curriculum beats it at equal target", "worse"),
        (-1.0, "at equal cost that can't be told", "cannot tell"),
        (-0.5, "it beats the random order at equal target tokens and at equal cost.", "better"),
    ],
)
def test_a_winner_at_equal_tokens_is_judged_at_equal_cost(
    longer: float, headline: str, verdict: str
) -> None:
    effects = {"random": 0, "sorted": -1, "anti": 0.5, "random-longer": longer}
    table = _table(effects, 0.01, "arm").assign(domain="average")
    content = ReportContent(
        study="s",
        comparisons=compare_arms(table[table["arm"] != "random-longer"], "random"),
        equal_costs=compare_at_equal_cost(
            table,
            {"random": {"sorted": {"operations": 1.0, "time": 1.0}}},
            longer="{}-longer",
            factor=2,
        ),
        curricula=("sorted",),
    )
    assert headline in findings_of(content).headline
    (found,) = [item for item in findings_of(content).items if item.topic == "curriculum"]
    assert found.verdict == verdict
    assert found.text.endswith(f", {verdict}.")
    at_cost = content.equal_costs[0].comparison.difference
    assert f"At equal operations: {abs(at_cost):.3f} nats" in found.text


@pytest.mark.parametrize(
    ("reshuffled", "noise", "headline"),
    [
        (-2.0, 0.01, "Use the samples of the sorted curriculum, but in random order: reshuffled"),
        (-1.0, 0.01, "tokens. Whether by the order or by which samples are read can't be told."),
        (0.0, 0.01, "Use the sorted curriculum: it beats the random order at equal target tokens."),
    ],
)
def test_a_winner_is_judged_by_its_own_samples_reshuffled(
    reshuffled: float, noise: float, headline: str
) -> None:
    effects = {"random": 0, "sorted": -1, "anti": 1, "sorted-reshuffled": reshuffled}
    pair = ("sorted", "sorted-reshuffled")
    comparisons = compare_arms(_table(effects, noise, "arm"), "random", also=[pair])
    content = ReportContent(study="s", comparisons=comparisons, curricula=("sorted",))
    assert headline in findings_of(content).headline
    assert ("can't be told" in findings_of(content).headline) == (reshuffled == -1)


def test_curricula_of_which_the_same_holds_share_a_sentence() -> None:
    effects = {"random": 0, "one": 0.0, "two": 0.0, "good": -1.0, "poor": 1.0}
    content = ReportContent(
        study="s", comparisons=_arms(effects, 0.1), curricula=("one", "poor", "two", "good")
    )
    assert findings_of(content).headline == (
        "Use the good curriculum: it beats the random order at equal target tokens. Don't use the "
        "poor curriculum: it is worse than the random order. Keep the random order: no effect of "
        "the curricula one and two found."
    )


def test_the_comparison_that_takes_the_fewest_seeds_is_what_to_settle_next() -> None:
    table = _table({"random": 0, "base": 0, "far": 0.6, "near": 0.25}, 0.3, "arm", seeds=3)
    comparisons = compare_arms(table[table["arm"] != "base"], "random")
    seeds = {item.arm: item.seeds_to_settle for item in comparisons}
    assert {item.verdict for item in comparisons} == {"cannot tell"}
    least = min((value, arm) for arm, value in seeds.items() if value)
    content = ReportContent(
        study="s",
        tiny=_ranking({"base": 0, "poor": 1}),
        comparisons=comparisons,
        curricula=("near", "far"),
    )
    assert f"({least[0]} in all) would settle {least[1]} against" in _topics(content, "next")


def test_seeds_that_an_arm_lacks_are_still_to_run() -> None:
    table = _table({"random": 0, "some": 0.2, "other": 0}, 0.2, "arm", seeds=5)
    few = table[(table["arm"] == "random") | (table["seed"] < 3)]
    comparisons = compare_arms(few, "random")
    some = next(item for item in comparisons if item.arm == "some")
    assert (some.pairs, some.seeds_to_settle is not None) == (3, True)
    assert some.seeds_to_settle is not None
    content = ReportContent(
        study="s",
        tiny=_ranking({"base": 0, "poor": 1}),
        comparisons=comparisons,
        curricula=("some",),
    )
    expected = f"{some.seeds_to_settle - 3} more target seed"
    assert _topics(content, "next").startswith(expected)


def test_an_open_question_is_priced(content: ReportContent) -> None:
    step = _topics(content, "next")
    settled = content.against("learnability", "random")
    assert settled is not None
    assert f"({settled.seeds_to_settle} in all)" in step
    assert "runs and their scores, " in step
    assert "FLOP" in step


def test_another_seed_needs_no_more_of_given_scores(content: ReportContent) -> None:
    (own,) = content.charges
    text = _topics(replace(content, charges=(replace(own, serves_all_seeds=True),)), "next")
    assert "runs, " in text
    assert "their scores" not in text


def test_choices_without_a_charge_for_scores_are_told(content: ReportContent) -> None:
    choice = SelectionCharge(curriculum="learnability", seconds_share=0.5, flops_share=2.0)
    text = _topics(replace(content, charges=(), selections=(choice,)), "curriculum")
    assert "Its choices cost 200 % of a target run, which this" in text


def test_scores_are_charged(content: ReportContent) -> None:
    assert "which this comparison does not grant" in _topics(content, "curriculum")
    assert "17 % of a target run" in _topics(content, "curriculum")


def test_choices_while_training_are_charged_beside_the_scores(content: ReportContent) -> None:
    choice = SelectionCharge(curriculum="learnability", seconds_share=0.5, flops_share=2.0)
    text = _topics(replace(content, selections=(choice,)), "curriculum")
    assert "17 % of a target run, its choices 200 % more: that buys 217 k more random" in text


def test_order_only_recipes_are_judged_at_the_standard_rate(content: ReportContent) -> None:
    assert "low-entropy-first differs in order alone" in _topics(content, "order")


def test_accuracies_that_say_nothing_are_said_to(content: ReportContent) -> None:
    assert "None of 12 models is surely better" in _topics(content, "multiple choice")


def test_a_broken_ranking_asks_for_better_proxies_first() -> None:
    content = ReportContent(study="s", tiny=_ranking({"base": 0, "good": -1, "bad": -2}))
    assert "until the bad control loses" in _topics(content, "next")


def test_an_empty_study_has_findings_and_a_summary() -> None:
    content = ReportContent(study="s", status="running")
    assert findings_of(content).headline == "No results yet."
    assert "running" in render_summary(content)


def test_summary_fits_a_terminal_and_names_everything(content: ReportContent) -> None:
    text = render_summary(content, "store/report.html")
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "\t" not in text
    assert text.endswith("Report: store/report.html\n")
    for part in (
        "text-heavy",
        "low-entropy-first",
        "order only",
        "Confirmation",
        "Cost",
        "Cautions",
    ):
        assert part in text


def test_summary_cuts_long_names_and_long_tables(content: ReportContent) -> None:
    effects = {"base": 0.0} | {
        f"a-recipe-with-a-rather-long-name-{k:03d}-{'x' * 30}": k / 50.0 for k in range(80)
    }
    text = render_summary(replace(content, tiny=_ranking(effects), standard=None))
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "41 more in the report" in text
