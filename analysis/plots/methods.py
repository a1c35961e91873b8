"""Figures about methods: agreement by domain, ranks side by side."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from curricle.analysis.methods import MethodAgreement
from curricle.analysis.plots.cells import Cell, cells_figure
from curricle.analysis.ranked import Ranking
from curricle.analysis.results import POOLED


def agreement_figure(agreements: Sequence[MethodAgreement]) -> Figure:
    """Spearman correlation with the target: a row per domain and group, a column per method.

    Bold: the interval over recipes leaves zero out.
    """
    methods = list(dict.fromkeys(item.method for item in agreements))
    places = list(dict.fromkeys((item.domain, item.group) for item in agreements))
    known = {(item.domain, item.group, item.method): item for item in agreements}
    grid = [[_correlation(known.get((*place, method))) for method in methods] for place in places]
    labels = [domain if group == POOLED else group for domain, group in places]
    return cells_figure(labels, methods, grid, 1.0, "Spearman correlation with the target")


def ranks_figure(methods: Mapping[str, Ranking], target: Ranking, label: str = "target") -> Figure:
    """Each candidate's rank by the target and by every method, in the target's order.

    Blue: the method takes the recipe for better than the target does; vermilion: for worse.
    """
    names = [item.recipe for item in target.candidates]
    truth = {name: place + 1 for place, name in enumerate(names)}
    columns = [{name: Cell(value=0.0, text=str(rank)) for name, rank in truth.items()}]
    for ranking in methods.values():
        shared = [item.recipe for item in ranking.candidates if item.recipe in truth]
        ordered = [name for name in names if name in set(shared)]
        columns.append(
            {
                name: Cell(value=float(place - ordered.index(name)), text=str(place + 1))
                for place, name in enumerate(shared)
            }
        )
    grid = [[column.get(name) for column in columns] for name in names]
    return cells_figure(names, [label, *methods], grid, max(len(names) / 2, 1.0), "Rank by")


def _correlation(item: MethodAgreement | None) -> Cell | None:
    if item is None or item.spearman is None:
        return None
    rho, low, high = item.spearman.value, item.spearman.low, item.spearman.high
    sure = low is not None and high is not None and not low <= 0 <= high
    return Cell(value=-rho, text=f"{rho:.2f}", bold=sure)
