"""Costs: a run counts once, and scores are charged to the curriculum that needs them."""

import pytest

from curricle.analysis.content import ReportContent
from curricle.analysis.costs import costs_of, scoring_charge, selection_charge
from curricle.analysis.results import results_table


def test_a_run_with_many_metrics_counts_once(content: ReportContent) -> None:
    assert content.costs is not None
    stages = {stage.stage: stage for stage in content.costs.stages}
    assert list(stages) == ["proxy", "confirm", "scoring", "target"]
    assert stages["proxy"].runs == 10 * 2 * 3
    # The random arm of the best recipe confirmed the ranking: trained once, counted there.
    assert stages["target"].runs == 4 * 3 - 3
    assert stages["target"].tokens == 9 * 100_000
    assert stages["proxy"].flops == pytest.approx(60 * 1.9e11)
    assert sum(content.costs.share(name) for name in stages) == pytest.approx(1.0)


def test_scores_are_charged_in_target_tokens(content: ReportContent) -> None:
    (charge,) = content.charges
    # One scoring proxy of 1.9e11 a seed; the target costs 1.1e12 for 100,000 tokens.
    assert charge.scoring_flops == pytest.approx(1.9e11)
    assert charge.extra_tokens == round(1.9e11 / (1.1e12 / 100_000))
    assert charge.share == pytest.approx(1.9 / 11)


def test_scores_are_charged_in_runs_that_choose_nothing() -> None:
    run = {
        **dict.fromkeys(("recipe", "family", "size", "domain", "schedule", "variant"), "x"),
        "learning_rate": 1e-3,
        "seed": 0,
        "parameters": 8,
        "batch_size": 8,
        "tokens": 1000,
        "weight_decay": 0.0,
        "metric": "validation/loss",
        "value": 5.0,
    }
    flops = {("scoring", ""): 30, ("target", "random"): 10, ("target", "rho-loss"): 40}
    rows = [
        {**run, "stage": stage, "curriculum": curriculum, "flops": float(spent)}
        for (stage, curriculum), spent in flops.items()
    ]
    charge = scoring_charge(results_table(rows), "rho-loss", "random")
    assert charge is not None
    assert (charge.share, charge.extra_tokens, charge.target_tokens) == (3.0, 3000, 1000)
    again = scoring_charge(results_table(rows), "rho-loss", "random", fresh_flops=10.0)
    given = scoring_charge(results_table(rows), "rho-loss", "random", 50.0)
    assert again is not None
    assert given is not None
    assert (again.share, again.serves_all_seeds) == (4.0, False)
    assert (given.share, given.serves_all_seeds) == (5.0, True)


def test_nothing_trained_costs_nothing() -> None:
    empty = results_table([])
    assert costs_of(empty).flops == 0.0
    assert costs_of(empty).share("proxy") == 0.0
    assert scoring_charge(empty, "learnability", "random") is None


def test_choosing_is_charged_on_top_of_training() -> None:
    chosen = {"selection_seconds": 2.0, "selection_flops": 30, "seconds": 6.0, "training_flops": 60}
    charge = selection_charge("rho", [chosen, {**chosen, "selection_seconds": 3.0}])
    assert charge is not None
    assert (charge.seconds_share, charge.flops_share) == (0.75, 0.5)
    validated = {**chosen, "training_seconds": 4.0}
    charge = selection_charge("rho", [validated])
    assert charge is not None
    assert charge.seconds_share == 1.0
    assert selection_charge("random", [{"seconds": 6.0, "training_flops": 60}]) is None
