"""Rank: the usable rates, proxies, the ranking with its intervals, a check at target size."""

from curricle.analysis.ranking import Ranking
from curricle.flows.artifacts import show_table
from curricle.flows.prepare import prepare
from curricle.flows.stage import nothing_left, stage
from curricle.tasks.plan import Decision, StudyPlan
from curricle.tasks.produce import produce_all
from curricle.tasks.session import Session
from curricle.tasks.spending import train_within_budget


@stage("rank", after=[prepare])
def rank(session: Session, plan: StudyPlan) -> Decision:
    """Train the proxies and rank the recipes; what fails is left out, and said."""
    store = session.store
    produce_all("trying learning rates", plan.band.runs, tolerate=True)
    if plan.study.budget.is_limited:
        train_within_budget(session, plan)
    else:
        for ranking in plan.rankings:
            produce_all("training proxies", ranking.runs(), tolerate=True)
    produce_all("measuring where proxies start", plan.band.starts(), tolerate=True)
    present = [step for one in plan.rankings for step in one.present(store).values()]
    band = plan.band.present(store)
    produce_all("ranking", [*present, *([band] if band else [])])
    tiny = plan.ranking.tiny(store)
    if tiny is None:
        raise nothing_left(session, "too few proxies at the tiny rate to rank anything")
    show_ranking(plan.study.name, tiny)
    check_targets(session, plan)
    return plan.ranking.decide(store)


def check_targets(session: Session, plan: StudyPlan) -> None:
    """Rank recipes at the target's size, tuned where the study says so."""
    store, confirmed = session.store, plan.ranking.decide(session.store).confirmed
    for target in plan.targets:
        produce_all("tuning targets", target.tuning_runs(), tolerate=True)
        produce_all("training targets to confirm", target.runs(store, confirmed), tolerate=True)
        if (step := target.present(store, confirmed)) is not None:
            produce_all("confirming", [step])
    for methods in plan.methods:
        produce_all("counting n-grams", methods.ngrams, tolerate=True)
        if (comparison := methods.present(store)) is not None:
            produce_all("comparing methods", [comparison])


def show_ranking(study: str, ranking: Ranking) -> None:
    """The ranking as a table artifact on Prefect's page of the flow run."""
    rows = [
        {
            "rank": item.rank,
            "recipe": item.recipe,
            "held-out loss": f"{item.mean:.4f}",
            f"difference to {ranking.baseline}": f"{item.difference:+.4f}",
            "interval": _interval(item.difference_low, item.difference_high),
            "verdict": item.verdict,
            "P(best)": "" if item.probability_best is None else f"{item.probability_best:.2f}",
            "role": item.role,
        }
        for item in ranking.recipes
    ]
    show_table(study, "ranking", rows, "Recipes at the tiny rate")


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:+.4f} to {high:+.4f}"
