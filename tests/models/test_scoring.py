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
from curricle.core.token_dataset import DatasetWriter, TokenDataset, TokenizedDocument
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
LENGTH, NOISE_LENGTH = 12, 100
OF_NOISE = SampleStatisticsSpec(
    sequence_length=NOISE_LENGTH, vocabulary_size=97, names=("moore_lewis",)
)


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
    counts = [np.unique(row, return_counts=True)[1] / LENGTH for row in windows[:, :-1].numpy()]
    entropy = [-(share * np.log(share)).sum() for share in counts]
    np.testing.assert_allclose(read_scores(tmp_path, "unigram_entropy"), entropy, atol=1e-9)


def _noise(folder: Path, seed: int, samples: int) -> TokenDataset:
    """A dataset of tokens without any order, of which no sample is more usual than another."""
    folder.mkdir()
    tokens = np.random.default_rng(seed).integers(1, 97, samples * NOISE_LENGTH)
    writer = DatasetWriter(folder, vocabulary_size=97, end_of_text=0)
    writer.write_domain("noise", [TokenizedDocument("one", "made up", len(tokens), tokens)])
    writer.finish()
    return TokenDataset(folder, NOISE_LENGTH)


def test_no_sample_is_compared_with_a_model_that_has_read_it(tmp_path: Path) -> None:
    dataset = _noise(tmp_path / "dataset", 1, 1000)
    _noise(tmp_path / "validation", 2, 100)
    inputs = {role: tmp_path / role for role in ("dataset", "validation")}
    sample_statistics(OF_NOISE, inputs, tmp_path, Placement())
    scores, halves = read_scores(tmp_path, "moore_lewis"), read_halves(tmp_path, "moore_lewis")
    # By how much a model that has read a sample finds it more usual.
    windows = torch.from_numpy(dataset.read(np.arange(len(dataset))))
    surprise = bigram_cross_entropy(windows, fit_bigram_model(windows[:100], 97))
    effect = float(surprise[100:].mean() - surprise[:100].mean())
    # As many as a model would have read don't stand out.
    assert np.sort(scores)[-100:].mean() - np.median(scores) < effect / 2
    assert halves is not None
    assert abs(float(np.corrcoef(halves[0], halves[1])[0, 1])) < 0.1


def test_a_single_sample_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    for role, seed in (("dataset", 1), ("validation", 2)):
        _noise(tmp_path / role, seed, 1)
    inputs = {role: tmp_path / role for role in ("dataset", "validation")}
    with pytest.raises(InputError, match="moore-lewis of a dataset of 1 samples, expected 2"):
        sample_statistics(OF_NOISE, inputs, tmp_path, Placement())


def test_a_dataset_of_another_vocabulary_is_refused(
    scored: dict[str, Path], tmp_path: Path
) -> None:
    path = scored["dataset"] / "manifest.json"
    path.write_text(path.read_text().replace('"vocabulary_size": 97', '"vocabulary_size": 500'))
    with pytest.raises(InputError, match=r"a vocabulary of 500, expected the proxy's 97, fix"):
        _losses(scored, tmp_path / "found", 0, 4)
