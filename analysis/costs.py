"""What a study cost in training FLOPs, stage by stage, and what its proxies are charged with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from curricle.analysis.results import RUN_COLUMNS

_ORDER = ("band", "proxy", "sweep", "tuning", "confirm", "scoring", "target")


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """Runs, tokens and FLOPs of one stage."""

    stage: str
    runs: int
    tokens: int
    flops: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The cost of a study by stage, in the order in which stages run."""

    stages: tuple[StageCost, ...]

    @property
    def flops(self) -> float:
        """FLOPs of all stages."""
        return sum(stage.flops for stage in self.stages)

    @property
    def tokens(self) -> int:
        """Tokens of all stages."""
        return sum(stage.tokens for stage in self.stages)

    @property
    def runs(self) -> int:
        """Runs of all stages."""
        return sum(stage.runs for stage in self.stages)

    def share(self, *stages: str) -> float:
        """Share of the FLOPs that these stages took, 0 for a study without cost."""
        part = sum(stage.flops for stage in self.stages if stage.stage in stages)
        return part / self.flops if self.flops else 0.0


@dataclass(frozen=True, kw_only=True)
class ScoringCharge:
    """What one curriculum's scores cost for one target run, in runs of the control.

    `scoring_flops` bought `extra_tokens` more tokens in the control's order, which is `share` of
    the `target_tokens` of such a run. `serves_all_seeds` where they were given: another seed needs
    no more.
    """

    curriculum: str
    scoring_flops: float
    target_tokens: int
    extra_tokens: int
    share: float
    serves_all_seeds: bool = False


@dataclass(frozen=True, kw_only=True)
class SelectionCharge:
    """What choosing samples while training took of a run under `curriculum`, mean over its seeds.

    `seconds_share` and `flops_share` are shares of what the training itself took.
    """

    curriculum: str
    seconds_share: float
    flops_share: float


def selection_charge(curriculum: str, facts: Sequence[Mapping[str, Any]]) -> SelectionCharge | None:
    """The charge from the records of an arm's runs; None unless they chose samples."""
    chosen = [item for item in facts if "selection_seconds" in item]
    if not chosen:
        return None
    seconds = [
        item["selection_seconds"] / (training_seconds(item) - item["selection_seconds"])
        for item in chosen
    ]
    flops = [item["selection_flops"] / item["training_flops"] for item in chosen]
    return SelectionCharge(
        curriculum=curriculum,
        seconds_share=float(np.mean(seconds)),
        flops_share=float(np.mean(flops)),
    )


def training_seconds(facts: Mapping[str, Any]) -> float:
    """Seconds of a run's steps by its record, or of the whole job where that is all it tells.

    Records tell a job's seconds alone if it trained nothing, or is from before 2026-11-28; the
    validations of such a run are in them. Without either: 0.
    """
    return float(facts.get("training_seconds", facts.get("seconds", 0.0)))


def costs_of(results: pd.DataFrame) -> Costs:
    """The cost of each stage of a results table; a run with many metrics counts once.

    A target run that confirmed the ranking before is the same run, trained once: it counts there.
    """
    runs = _runs(results)
    same = [name for name in RUN_COLUMNS if name != "stage"]
    confirmed = set(runs.loc[runs["stage"] == "confirm", same].itertuples(index=False, name=None))
    keys = runs[same].itertuples(index=False, name=None)
    shared = np.array([key in confirmed for key in keys], dtype=bool)
    runs = runs[~((runs["stage"] == "target") & shared)]
    found = []
    for stage in _ORDER:
        rows = runs[runs["stage"] == stage]
        if len(rows):
            tokens, flops = int(rows["tokens"].sum()), float(rows["flops"].sum())
            found.append(StageCost(stage=stage, runs=len(rows), tokens=tokens, flops=flops))
    return Costs(stages=tuple(found))


def scoring_charge(
    results: pd.DataFrame,
    curriculum: str,
    control: str,
    given_flops: float | None = None,
    fresh_flops: float = 0.0,
) -> ScoringCharge | None:
    """What the scores of `curriculum` cost, in runs of `control`, which chooses nothing.

    Scoring runs name the curriculum they serve, or none (an empty string) if they serve all. Every
    seed of the target has its own scoring proxy, so the charge is the mean over scoring seeds of
    the FLOPs per seed; or it is `given_flops`, those of another study's scores. `fresh_flops` are
    added, those of scores made in mid-run. None where nothing was spent on scores or no target was
    trained under `control`.
    """
    runs = _runs(results)
    scoring = runs[(runs["stage"] == "scoring") & runs["curriculum"].isin([curriculum, ""])]
    target = runs[(runs["stage"] == "target") & (runs["curriculum"] == control)]
    flops = given_flops or 0.0
    if given_flops is None and len(scoring):
        flops = float(scoring.groupby("seed")["flops"].sum().mean())
    flops += fresh_flops
    if not flops or not len(target) or not float(target["flops"].sum()):
        return None
    per_token = float(target["flops"].sum()) / int(target["tokens"].sum())
    tokens = round(float(target["tokens"].mean()))
    return ScoringCharge(
        curriculum=curriculum,
        scoring_flops=flops,
        target_tokens=tokens,
        extra_tokens=round(flops / per_token),
        share=flops / per_token / tokens,
        serves_all_seeds=given_flops is not None,
    )


def _runs(results: pd.DataFrame) -> pd.DataFrame:
    """One row per run, with the tokens and FLOPs at its end."""
    return results.groupby(list(RUN_COLUMNS), as_index=False, dropna=False)[
        ["tokens", "flops"]
    ].max()
