"""What a report and a terminal summary are made of: plain values, nothing stored, nothing computed.

Everything but the study's name may be missing, since a report is drawn while its study still runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from curricle.analysis.band import UsableBand
from curricle.analysis.cautions import Caution
from curricle.analysis.comparison import Comparison
from curricle.analysis.cost_matching import EqualCost
from curricle.analysis.costs import Costs, ScoringCharge, SelectionCharge
from curricle.analysis.documents import DocumentComparison
from curricle.analysis.formatting import rate
from curricle.analysis.multiple_choice import LetterReport
from curricle.analysis.ranked import Ranking
from curricle.analysis.score_quality import ScoreQualities
from curricle.analysis.table_ranking import TableRanking

RESHUFFLED = "{}-reshuffled"
"""What the arm is called that reads a curriculum's own samples in random order."""


@dataclass(frozen=True, kw_only=True)
class ScoredText:
    """A sample to look at: its domain, its score, the beginning of its text."""

    domain: str
    score: float
    text: str


@dataclass(frozen=True, kw_only=True)
class ArmReads:
    """How an arm's samples are drawn, how many different ones it reads, and one of them at most.

    Both counts are the smallest and the largest over its seeds; None where they aren't known.
    """

    arm: str
    drawing: str
    distinct_samples: tuple[int, int] | None = None
    most_reads: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class SweepVariant:
    """What another sweep over some of the recipes found, with what differs in it.

    `rankings` by learning rate; `check` compares its ways of ranking with the tuned target.
    """

    name: str
    rankings: Mapping[float, Ranking]
    check: TableRanking | None = None

    def by_place(self) -> dict[str, Ranking]:
        """The rankings by variant and rate, as tables name them."""
        return {f"{self.name}, {rate(value)}": found for value, found in self.rankings.items()}


@dataclass(frozen=True, kw_only=True)
class StageProgress:
    """How many of a stage's steps are there, and the first ones that aren't."""

    stage: str
    steps: int
    done: int
    next: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """A study's results so far.

    `status` and `created` are shown as they are, `progress` while something is missing, which stays
    so once the study has `ended`. `tiny` and `standard` rank the recipes at the two rates,
    `confirmation` at the target's size, `domains` per domain at the tiny rate. `band` are the
    usable rates, `check` compares ways of ranking with the tuned target, `variants` are the sweep's
    others, `alignment` has columns recipe, seed, gradient_cosine, update_cosine, gain.

    `comparisons` hold each curriculum's arm against the random order and, where asked for, against
    its own controls; `curricula` names the arms that are in question rather than controls, and
    `transfers` those with given scores, each with one that is else the same and has its own;
    `reads` tells of all arms what they repeat.
    `by_schedule` compares the curricula with random order under each of several schedules,
    `by_rounding` in bits per byte before and after weights are rounded, `equal_costs` at equal
    cost. `curves` has columns arm, seed, tokens, value (validation loss). `evaluation` are rows of
    the results table for the targets, `documents` their arms compared document by document,
    `subjects` their `accuracy_table`. `scores` has columns domain, score: the values of the first
    score, `score`; `score_facts` are labelled facts about it, `score_qualities` what all are worth.

    `corpus` has columns recipe, domain, documents, tokens; `drops` recipe, reason, documents;
    `recipes` recipe, dimension, role, description. `provenance` are labelled facts, `spec` is the
    study's YAML.
    """

    study: str
    status: str = "finished"
    created: str = ""
    progress: tuple[StageProgress, ...] = ()
    ended: bool = False
    tiny_rate: float | None = None
    standard_rate: float | None = None
    tiny: Ranking | None = None
    standard: Ranking | None = None
    confirmation: Ranking | None = None
    check: TableRanking | None = None
    variants: tuple[SweepVariant, ...] = ()
    band: UsableBand | None = None
    alignment: pd.DataFrame | None = None
    domains: Mapping[str, Ranking] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    by_schedule: Mapping[str, tuple[Comparison, ...]] = field(default_factory=dict)
    by_rounding: Mapping[str, tuple[Comparison, ...]] = field(default_factory=dict)
    curricula: tuple[str, ...] = ()
    transfers: tuple[tuple[str, str], ...] = ()
    reads: tuple[ArmReads, ...] = ()
    curves: pd.DataFrame | None = None
    evaluation: pd.DataFrame | None = None
    documents: tuple[DocumentComparison, ...] = ()
    letters: tuple[LetterReport, ...] = ()
    subjects: pd.DataFrame | None = None
    score: str = "learnability"
    scores: pd.DataFrame | None = None
    score_facts: Mapping[str, str] = field(default_factory=dict)
    score_qualities: ScoreQualities | None = None
    examples: tuple[ScoredText, ...] = ()
    costs: Costs | None = None
    charges: tuple[ScoringCharge, ...] = ()
    selections: tuple[SelectionCharge, ...] = ()
    equal_costs: tuple[EqualCost, ...] = ()
    corpus: pd.DataFrame | None = None
    drops: pd.DataFrame | None = None
    recipes: pd.DataFrame | None = None
    cautions: tuple[Caution, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    spec: str = ""

    def rankings(self) -> dict[str, Ranking]:
        """The rankings there are, by the name of the place they were made at."""
        places = {
            f"tiny rate {rate(self.tiny_rate)}".strip(): self.tiny,
            f"standard rate {rate(self.standard_rate)}".strip(): self.standard,
            "target size": self.confirmation,
        }
        return {place: ranking for place, ranking in places.items() if ranking}

    def all_cautions(self) -> tuple[tuple[str, Caution], ...]:
        """(place, caution): those given, of the band and of methods, then rankings' with a place.

        The rankings per domain repeat what the overall ones say and are left out.
        """
        judged = self.check.methods.cautions if self.check and self.check.methods else ()
        edge = (self.band.caution,) if self.band and self.band.caution else ()
        given = [("", caution) for caution in (*self.cautions, *edge, *judged)]
        found = [
            (place, caution)
            for place, ranking in self.rankings().items()
            for caution in ranking.cautions
        ]
        return (*given, *found)

    def arms(self) -> list[str]:
        """Names of the arms: the control, the curricula in question, their controls."""
        named = [name for item in self.averages()[:1] for name in (item.control, *self.curricula)]
        return list(dict.fromkeys([*named, *(item.arm for item in self.averages())]))

    def averages(self) -> tuple[Comparison, ...]:
        """The comparisons on the mean over domains."""
        return tuple(item for item in self.comparisons if item.domain == "average")

    def is_transfer(self, item: Comparison) -> bool:
        """Whether given scores are compared with the curriculum's own."""
        return (item.arm, item.control) in self.transfers

    def against(self, arm: str, control: str) -> Comparison | None:
        """The comparison of two arms on the mean over domains, if it was made."""
        pairs = ((item.arm, item.control) for item in self.averages())
        found = dict(zip(pairs, self.averages(), strict=True))
        return found.get((arm, control))
