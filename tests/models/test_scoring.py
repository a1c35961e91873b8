"""Losses of samples under checkpoints, and the statistics that need none."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from curricle.core.errors import InputError
from curricle.core.jobs import SampleStatisticsSpec, ScoringPart, ScoringSpec, TrainingSpec
from curricle.core.scores_file import read_halves, read_scores
from curricle.core.token_dataset import TokenDataset
from curricle.kernels.bigram_cross_entropy import bigram_cross_entropy, fit_bigram_model
from curricle.models import scoring
from curricle.models.checkpoint import load_model
from curricle.models.half_losses import half_losses
from curricle.models.interruption import InterruptedJobError
from curricle.models.placement import Placement
from curricle.models.sample_statistics import sample_statistics
from curricle.models.scoring import score
from curricle.models.training import train

SPEC = ScoringSpec(early=240, late=(720, 960))
LENGTH = 12


@pytest.fixture
def scored(
    variant: Callable[..., TrainingSpec], inputs: dict[str, Path], tmp_path: Path
) -> dict[str, Path]:
    """A proxy with three checkpoints, and the dataset it was trained on."""
    (tmp_path / "proxy").mkdir()
    spec = variant(checkpoints_at=(240, 720, 960))
    train(spec, inputs, tmp_path / "proxy", Placement())
    return {"checkpoint": tmp_path / "proxy", "dataset": inputs["dataset"]}


def _losses(scored: dict[str, Path], folder: Path, start: int, samples: int) -> np.ndarray:
    part = ScoringPart(scoring=SPEC, sequence_length=LENGTH, start=start, samples=samples)
    folder.mkdir()
    score(part, scored, folder, Placement())
    return np.load(folder / "losses.npy")


def test_losses_are_those_of_the_models_logits(scored: dict[str, Path], tmp_path: Path) -> None:
    found = _losses(scored, tmp_path / "found", 3, 10)
    dataset = TokenDataset(scored["dataset"], LENGTH)
    windows = torch.from_numpy(dataset.read(np.arange(3, 13)))
    for number, at in enumerate((240, 720, 960)):
        model = load_model(scored["checkpoint"], f"model-at-{at}.safetensors")
        with torch.no_grad():
            logits = model.logits(model.hidden(windows[:, :-1]))
        loss = F.cross_entropy(logits.transpose(1, 2), windows[:, 1:], reduction="none")
        expected = np.stack([loss[:, :6].mean(1), loss[:, 6:].mean(1)])
        np.testing.assert_allclose(found[number], expected, atol=1e-5)


def test_parts_are_pieces_of_the_whole(scored: dict[str, Path], tmp_path: Path) -> None:
    whole = _losses(scored, tmp_path / "whole", 0, 40)
    parts = [_losses(scored, tmp_path / f"part{start}", start, 20) for start in (0, 20)]
    np.testing.assert_allclose(np.concatenate(parts, axis=2), whole, atol=1e-6)


def test_scoring_goes_on_where_it_was_stopped(
    scored: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _losses(scored, tmp_path / "whole", 0, 40)
    monkeypatch.setattr(scoring, "SAMPLES_BETWEEN_LOOKS", 16)
    part = ScoringPart(scoring=SPEC, sequence_length=LENGTH, start=0, samples=40)
    placement = Placement(unfinished=str(tmp_path / "unfinished"))
    measured = []

    def counted(model: torch.nn.Module, dataset: TokenDataset, samples: np.ndarray) -> np.ndarray:
        measured.append(len(samples))
        return half_losses(model, dataset, samples)  # type: ignore[arg-type]

    monkeypatch.setattr(scoring, "half_losses", counted)
    output = tmp_path / "again"
    output.mkdir()
    with monkeypatch.context() as stopped:
        stopped.setattr(scoring, "stop_requested", lambda: len(measured) == 5)
        with pytest.raises(InterruptedJobError, match="after 72 losses"):
            score(part, scored, output, placement)
    score(part, scored, output, placement)
    assert sum(measured) == 3 * 40
    np.testing.assert_allclose(np.load(output / "losses.npy"), whole, atol=1e-6)


def test_checkpoints_out_of_order_are_refused(scored: dict[str, Path], tmp_path: Path) -> None:
    wrong = ScoringSpec(early=960, late=(720,))
    part = ScoringPart(scoring=wrong, sequence_length=LENGTH, start=0, samples=4)
    with pytest.raises(InputError, match="expected an early checkpoint before"):
        score(part, scored, tmp_path, Placement())


def test_statistics_of_tokens_and_of_their_halves(inputs: dict[str, Path], tmp_path: Path) -> None:
    names = ("unigram_entropy", "bigram_cross_entropy", "moore_lewis")
    spec = SampleStatisticsSpec(sequence_length=LENGTH, vocabulary_size=97, names=names)
    sample_statistics(spec, inputs, tmp_path, Placement())
    dataset, validation = (TokenDataset(inputs[role], LENGTH) for role in ("dataset", "validation"))
    windows = torch.from_numpy(dataset.read(np.arange(len(dataset))))
    held_out = torch.from_numpy(validation.read(np.arange(len(validation))))
    model = fit_bigram_model(held_out, 97)
    expected = bigram_cross_entropy(windows, model).numpy()
    np.testing.assert_allclose(read_scores(tmp_path, "bigram_cross_entropy"), expected)
    halves = read_halves(tmp_path, "bigram_cross_entropy")
    assert halves is not None
    np.testing.assert_allclose(halves.mean(axis=0), expected)  # equal numbers of predictions
    # As many training samples as there are: the other model has seen all of them.
    usual = fit_bigram_model(windows, 97)
    difference = expected - bigram_cross_entropy(windows, usual).numpy()
    np.testing.assert_allclose(read_scores(tmp_path, "moore_lewis"), difference)
    counts = [np.unique(row, return_counts=True)[1] / LENGTH for row in windows[:, :-1].numpy()]
    entropy = [-(share * np.log(share)).sum() for share in counts]
    np.testing.assert_allclose(read_scores(tmp_path, "unigram_entropy"), entropy, atol=1e-9)


def test_a_dataset_of_another_vocabulary_is_refused(
    scored: dict[str, Path], tmp_path: Path
) -> None:
    path = scored["dataset"] / "manifest.json"
    path.write_text(path.read_text().replace('"vocabulary_size": 97', '"vocabulary_size": 500'))
    with pytest.raises(InputError, match=r"a vocabulary of 500, expected the proxy's 97, fix"):
        _losses(scored, tmp_path / "found", 0, 4)
