from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from curricle.analysis.content import ReportContent
from curricle.analysis.report import render_report
from curricle.recipes.loading import load_study
from curricle.tasks.baselines import BaselineStep
from curricle.tasks.plan import StudyPlan
from curricle.tasks.train import TrainingStep

# Better from left to right; the tuned target and a proxy at the standard rate agree.
TRUTH = {"untouched": 0.0, "exact-dedup": -0.1, "low-entropy-first": -0.05, "shuffled-letters": 0.5}
SETTINGS = (
    "target.tuning={learning_rates: [1e-2]}",
    "band={learning_rates: [1e-5, 1e-4, 1e-3], tokens: 1024}",
    "proxy.validate_every=2048",
    "proxy.batch_sizes=[8, 16]",
    "proxy.larger_batches=[16, 32]",
)


class Stored:
    """A store that has everything."""

    def exists(self, artifact: object) -> bool:
        """Yes."""
        return artifact is not None


def loss(run: TrainingStep, *, trained: bool = True) -> float:
    """The tiny rate has it the wrong way round."""
    wrong = trained and run.stage == "proxy" and run.learning_rate == 1e-3
    truth = TRUTH[run.recipe]
    return 5.0 + (-truth if wrong else truth) + 0.001 * ((7 * run.training.seed) % 5)


def losses_along(step: TrainingStep, store: object) -> dict[int, dict[str, float]]:
    del store
    end = {"code": loss(step), "prose": loss(step) + 1}
    return {2048: {name: 2 * value for name, value in end.items()}, step.training.tokens: end}


def facts(step: BaselineStep, store: object) -> dict[str, Any]:
    del store
    value = loss(step.run, trained=False)
    ngrams = {"code": value, "prose": value}
    start = {"gain": -value, "training_loss": 8.0}
    return {**start, "unigram": ngrams, "bigram": ngrams, "flops": 7}


def final_losses(step: TrainingStep, store: object) -> dict[str, float]:
    return losses_along(step, store)[step.training.tokens]


@pytest.fixture(autouse=True)
def _made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingStep, "losses_along", losses_along)
    monkeypatch.setattr(TrainingStep, "final_losses", final_losses)
    monkeypatch.setattr(BaselineStep, "facts", facts)


def test_methods_are_compared_with_the_tuned_target(tiny_study: Path, tmp_path: Path) -> None:
    plan = StudyPlan(load_study(str(tiny_study), SETTINGS))
    store: Any = Stored()
    step = plan.methods[0].present(store)
    assert step is not None
    assert [method.name for method in step.methods] == [
        *("rate 1e-3", "rate 1e-2", "rate 1e-3, stopped at 2048", "rate 1e-2, stopped at 2048"),
        *("rate 1e-2, batch 16", "rate 1e-2, batch 32"),
        *("tuned proxies", "gradient alignment", "untrained loss", "unigram", "bigram"),
    ]
    session: Any = SimpleNamespace(store=store)
    step.build(session, {}, tmp_path)
    found = step.read(SimpleNamespace(folder=lambda _: tmp_path))  # type: ignore[arg-type]
    assert found.methods is not None
    accuracy = {item.method: item.decision_accuracy.value for item in found.methods.of("average")}
    assert accuracy["rate 1e-2"] == accuracy["bigram"] == accuracy["gradient alignment"] == 1.0
    assert accuracy["rate 1e-3"] == 0.0
    assert accuracy["untrained loss"] == 0.5
    # The tiny rate can't see an order.
    assert "low-entropy-first" not in {
        item.recipe for item in found.proxies["rate 1e-3"]["average"].recipes
    }
    page = render_report(ReportContent(study="mine", check=found))
    assert 'href="#methods"' in page
    cost = {item.method: item.flops for item in found.methods.of("average")}
    standard, stopped = cost["rate 1e-2"], cost["rate 1e-2, stopped at 2048"]
    assert standard is not None
    assert stopped == pytest.approx(standard / 2)
    assert cost["rate 1e-2, batch 32"] == pytest.approx(standard), "as many tokens"
