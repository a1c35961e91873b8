"""What the proxies can be expected to decide, from the noise of the runs so far."""

from dataclasses import dataclass

from curricle.analysis.planning import Forecast, Noise, expected_accuracy, forecast, noise_of
from curricle.analysis.ranking import Ranking, rank
from curricle.analysis.results import ranking_table, results_table
from curricle.core.bootstrap import Interval
from curricle.core.store import Store
from curricle.tasks.plan import StudyPlan
from curricle.tasks.ranking import RankingStep
from curricle.tasks.spending import prices, rule_of


@dataclass(frozen=True)
class Expectation:
    """The noise at `rate`, seen in `runs` runs, and what follows for the study as it is planned.

    `accuracy` is the expected share of pairs in their true order with all `seeds`; `budget` is what
    a limited one buys, if the study has one.
    """

    rate: float
    runs: int
    noise: Noise
    seeds: int
    accuracy: Interval
    budget: Forecast | None

    def to_text(self) -> str:
        """One or two lines for the terminal."""
        low, high = self.accuracy.low or 0.0, self.accuracy.high or 1.0
        lines = [
            f"expected decision accuracy with {self.seeds} seeds: "
            f"{100 * self.accuracy.value:.0f} % ({100 * low:.0f} to {100 * high:.0f} %), "
            f"from {self.runs} runs at rate {self.rate:g}: "
            f"a run's noise {self.noise.standard_deviation:.2g} nats, the recipes' spread "
            f"{self.noise.spread:.2g}; the most that can be expected, if the proxy is right"
        ]
        if (bought := self.budget) is not None:
            lines.append(
                f"the budget is expected to buy {bought.runs:.0f} runs, {bought.seeds:.1f} seeds "
                f"of the recipes that stay, {bought.left:.1f} of them at the end; the true best is "
                f"chosen with probability {bought.best_chosen:.2f}"
            )
        return "\n".join(lines)


def expectation(plan: StudyPlan, store: Store) -> Expectation | None:
    """From the proxies at the tiny rate, or from the band at the rate next to it; None before."""
    found = _seen(plan, store)
    noise = noise_of(found[1]) if found else None
    if found is None or noise is None:
        return None
    step, _ = found
    seeds = len(plan.ranking.seeds)
    bought = None
    if plan.study.budget.is_limited:
        bought = forecast(noise, prices(plan, store), 1.0, rule_of(plan))
    accuracy = expected_accuracy(noise, seeds)
    rate = step.runs[0].learning_rate
    return Expectation(rate, len(step.runs), noise, seeds, accuracy, bought)


def _seen(plan: StudyPlan, store: Store) -> tuple[RankingStep, Ranking] | None:
    tiny = plan.study.proxy.tiny_rate
    candidates = [plan.ranking.present(store).get(tiny), _in_band(plan, store)]
    for step in filter(None, candidates):
        table = results_table(row for run in step.runs for row in run.rows(store))
        rows = ranking_table(table, stage=step.runs[0].stage)
        ranking = rank(rows, step.baseline, step.roles, order_only=step.order_only)
        if ranking.standard_deviation is not None:
            return step, ranking
    return None


def _in_band(plan: StudyPlan, store: Store) -> RankingStep | None:
    """A ranking of the band's runs at the rate nearest to the tiny one."""
    runs = [run for run in plan.band.runs if store.exists(run.artifact)]
    if not runs:
        return None
    tiny = plan.study.proxy.tiny_rate
    nearest = min({run.learning_rate for run in runs}, key=lambda rate: abs(rate / tiny - 1))
    chosen = [run for run in runs if run.learning_rate == nearest]
    whole = plan.ranking.over(tiny, chosen)
    return whole.over(tuple(chosen))
