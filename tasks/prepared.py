"""What preparing a study made: per recipe and domain, how much is left and why the rest went."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from curricle.analysis.formatting import percent
from curricle.core.store import Store
from curricle.tasks.plan import StudyPlan

ALL = "all"
_HEADER = ("recipe", "domain", "documents", "bytes", "tokens", "kept", "dropped")


@dataclass(frozen=True)
class PreparedRow:
    """One domain of one dataset, or all of them.

    `recipes` share the dataset. `kept` is its documents over the corpus' training documents, above
    1 where a recipe adds copies; `dropped` counts documents by reason, of all steps and the mix.
    """

    recipes: tuple[str, ...]
    domain: str
    documents: int
    bytes: int
    tokens: int
    kept: float
    dropped: dict[str, int]

    def to_plain(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "recipes": list(self.recipes)}


@dataclass(frozen=True)
class Prepared:
    """The corpus' account (seen, kept, dropped by reason), and a row per dataset and domain."""

    corpus: dict[str, Any]
    rows: tuple[PreparedRow, ...]

    def to_plain(self) -> dict[str, Any]:
        """JSON values."""
        return {"corpus": self.corpus, "recipes": [row.to_plain() for row in self.rows]}


def prepared_of(plan: StudyPlan, store: Store) -> Prepared:
    """What the store holds of a study whose datasets are all prepared."""
    corpus = store.facts(plan.preparation.corpus.artifact)
    base = {name: entry["documents"] for name, entry in corpus["splits"]["train"].items()}
    names: dict[Any, list[str]] = {}
    for name, step in plan.preparation.datasets.items():
        names.setdefault(step.artifact, []).append(name)
    rows = [
        row
        for artifact, recipes in names.items()
        for row in _rows(tuple(recipes), store.facts(artifact), base)
    ]
    totals = {reason: sum(domains.values()) for reason, domains in corpus["dropped"].items()}
    account = {"seen": corpus["seen"], "kept": corpus["kept"], "dropped": totals}
    return Prepared(account, tuple(rows))


def render_prepared(prepared: Prepared) -> str:
    """The same for the terminal."""
    corpus = prepared.corpus
    cells = [_HEADER, *map(_cells, prepared.rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADER))]
    lines = [f"corpus: {corpus['kept']:,} of {corpus['seen']:,} documents kept"]
    lines[0] += f" ({_reasons(corpus['dropped'])} dropped)" if corpus["dropped"] else ""
    return "\n".join([*lines, *(_line(row, widths) for row in cells)])


def _rows(
    recipes: tuple[str, ...], facts: Mapping[str, Any], base: Mapping[str, int]
) -> Iterator[PreparedRow]:
    dropped: dict[str, Counter[str]] = {}
    for account in facts["steps"]:
        for reason, domains in account["dropped"].items():
            for domain, count in domains.items():
                dropped.setdefault(domain, Counter())[reason] += count
    sizes = ("documents", "bytes", "tokens")
    total = sum(dropped.values(), Counter())
    yield _row(recipes, ALL, {size: facts[size] for size in sizes}, sum(base.values()), total)
    for domain in sorted({*base, *facts["domains"]}):
        entry = facts["domains"].get(domain, dict.fromkeys(sizes, 0))
        yield _row(recipes, domain, entry, base.get(domain, 0), dropped.get(domain, Counter()))


def _row(
    recipes: tuple[str, ...],
    domain: str,
    sizes: Mapping[str, int],
    before: int,
    dropped: Mapping[str, int],
) -> PreparedRow:
    kept = sizes["documents"] / before if before else 0.0
    return PreparedRow(recipes, domain, **sizes, kept=kept, dropped=dict(sorted(dropped.items())))


def _cells(row: PreparedRow) -> tuple[str, ...]:
    return (
        ", ".join(row.recipes) if row.domain == ALL else "",
        row.domain,
        *(f"{value:,}" for value in (row.documents, row.bytes, row.tokens)),
        percent(row.kept),
        _reasons(row.dropped),
    )


def _reasons(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in dropped.items())


def _line(cells: Sequence[str], widths: Iterable[int]) -> str:
    recipe, domain, *numbers, reasons = zip(cells, widths, strict=True)
    left = [cell.ljust(width) for cell, width in (recipe, domain)]
    right = [cell.rjust(width) for cell, width in numbers]
    return "  ".join([*left, *right, reasons[0]]).rstrip()
