"""Choosing samples while training, against the definitions and the order made beforehand."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from curricle.core.errors import InputError
from curricle.core.jobs import SampleStatisticsSpec, SelectionSpec, TrainingSpec
from curricle.core.order_file import batch_at, read_order, read_read, write_order
from curricle.core.pacing import rising_and_falling
from curricle.core.read_digest import START, next_digest
from curricle.core.scores_file import read_scores, write_scores
from curricle.core.token_dataset import TokenDataset
from curricle.models.decoder import build_model
from curricle.models.flops import forward_flops_per_token
from curricle.models.interruption import InterruptedJobError
from curricle.models.placement import Placement
from curricle.models.sample_statistics import sample_statistics
from curricle.models.training import train
from curricle.recipes.ordering.arrangements import nearest_to_percentile

RHO = SelectionSpec(policy="rho-loss", oversampling=2)
ENTROPY = SelectionSpec(policy="entropy-v", oversampling=2)
Variant = Callable[..., TrainingSpec]


@pytest.fixture
def candidates(inputs: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """The inputs with an order of twice as many samples, and an irreducible loss of each sample."""
    samples = len(TokenDataset(inputs["dataset"], 12))
    draw = np.random.default_rng(5)
    write_order(inputs["order"], np.resize(draw.permutation(samples), 20 * 8))
    (tmp_path / "irreducible").mkdir()
    losses = {"irreducible_loss": draw.normal(3, 1, samples)}
    write_scores(tmp_path / "irreducible", ["all"] * samples, losses)
    return {**inputs, "irreducible": tmp_path / "irreducible"}


def _train(
    spec: TrainingSpec, inputs: dict[str, Path], folder: Path, **placement: Any
) -> tuple[dict[str, Any], np.ndarray]:
    folder.mkdir(exist_ok=True)
    facts = train(spec, inputs, folder, Placement(**placement))
    read = read_read(folder)
    assert read is not None
    return facts, read


def test_the_first_choice_is_that_of_the_untrained_model(
    variant: Variant, candidates: dict[str, Path], tmp_path: Path
) -> None:
    spec = variant(selection=RHO)
    facts, read = _train(spec, candidates, tmp_path / "run")
    dataset = TokenDataset(candidates["dataset"], 12)
    first = batch_at(read_order(candidates["order"], len(dataset)), 0, 8)
    model = build_model(spec.model, spec.seed).eval()
    with torch.no_grad():
        losses = model.token_losses(torch.from_numpy(dataset.read(first))).mean(1).numpy()
    worth = losses - read_scores(candidates["irreducible"], "irreducible_loss")[first]
    assert set(read[:4].tolist()) == set(first[np.argsort(-worth)[:4]].tolist())
    assert len(read) == spec.samples
    assert facts["selection_seconds"] > 0
    assert facts["selection_flops"] == 2 * spec.tokens * forward_flops_per_token(spec.model)


def test_inverted_choices_are_what_is_left(
    variant: Variant, candidates: dict[str, Path], tmp_path: Path
) -> None:
    """On the first step, where both have the same model."""
    inverted = SelectionSpec(policy="rho-loss", oversampling=2, inverted=True)
    _, chosen = _train(variant(selection=RHO), candidates, tmp_path / "one")
    _, left = _train(variant(selection=inverted), candidates, tmp_path / "other")
    first = batch_at(read_order(candidates["order"], 10**6), 0, 8)
    assert sorted([*chosen[:4].tolist(), *left[:4].tolist()]) == sorted(first.tolist())


@pytest.mark.parametrize("anti", [False, True])
def test_the_entropy_v_reads_what_its_precomputed_twin_reads(
    variant: Variant, candidates: dict[str, Path], tmp_path: Path, anti: bool
) -> None:
    selection = replace(ENTROPY, inverted=anti)
    facts, read = _train(variant(selection=selection), candidates, tmp_path / "run")
    (tmp_path / "scores").mkdir()
    statistics = SampleStatisticsSpec(sequence_length=12, vocabulary_size=97)
    sample_statistics(statistics, candidates, tmp_path / "scores", Placement())
    entropy = read_scores(tmp_path / "scores", "unigram_entropy")
    rows = read_order(candidates["order"], len(entropy)).reshape(20, 8)
    percentiles = rising_and_falling(np.arange(20) / 20, 0.45)
    scores = entropy if anti else -entropy
    places = nearest_to_percentile(scores[rows], percentiles, 4)
    np.testing.assert_array_equal(read, np.take_along_axis(rows, places, axis=1).reshape(-1))
    assert facts["selection_flops"] == 0


def test_the_log_digests_what_was_chosen(
    variant: Variant, candidates: dict[str, Path], tmp_path: Path
) -> None:
    spec = variant(selection=RHO)
    _, read = _train(spec, candidates, tmp_path / "run")
    dataset, digest = TokenDataset(candidates["dataset"], 12), START
    for step in range(spec.steps):
        digest = next_digest(digest, dataset.read(batch_at(read, step, 4)))
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    logged = [entry["read"] for entry in map(json.loads, lines) if "read" in entry]
    assert logged[-1] == digest


def test_a_stopped_run_chooses_the_same(
    variant: Variant,
    candidates: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = variant(selection=RHO, micro_batch_size=2)
    _, whole = _train(spec, candidates, tmp_path / "whole")
    unfinished = str(tmp_path / "unfinished")
    calls = []

    def stop() -> bool:
        calls.append(1)
        return len(calls) > 14

    with monkeypatch.context() as context:
        context.setattr("curricle.models.training.stop_requested", stop)
        with pytest.raises(InterruptedJobError):
            _train(spec, candidates, tmp_path / "again", unfinished=unfinished)
    _, again = _train(spec, candidates, tmp_path / "again", unfinished=unfinished)
    np.testing.assert_array_equal(again, whole)


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (SelectionSpec(policy="luck", oversampling=2), "selection by 'luck'"),
        (SelectionSpec(policy="rho-loss", oversampling=3), r"order of 160 samples, expected 240"),
    ],
)
def test_selections_that_dont_fit_are_refused(
    selection: SelectionSpec,
    message: str,
    variant: Variant,
    candidates: dict[str, Path],
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=message):
        train(variant(selection=selection), candidates, tmp_path, Placement())


def test_irreducible_losses_of_another_dataset_are_refused(
    variant: Variant, candidates: dict[str, Path], tmp_path: Path
) -> None:
    write_scores(candidates["irreducible"], ["all"], {"irreducible_loss": np.zeros(1)})
    with pytest.raises(InputError, match=r"1 irreducible losses for a dataset of \d+ samples"):
        train(variant(selection=RHO), candidates, tmp_path, Placement())
