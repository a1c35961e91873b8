import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from curricle.core.jobs import NgramSpec, StartSpec, TrainingSpec
from curricle.core.order_file import batch_at, read_order
from curricle.core.token_dataset import TokenDataset
from curricle.models.decoder import Decoder, build_model
from curricle.models.first_updates import cosine, still_shares
from curricle.models.hessian import BatchLoss
from curricle.models.ngrams import measure_ngrams
from curricle.models.optimizer import build_optimizer
from curricle.models.placement import Placement
from curricle.models.sharpness import held_out_batch
from curricle.models.start import measure_start
from curricle.models.training import train
from curricle.models.validation import select_samples

RATES = (1e-12, 1e-4, 1e-1)


@pytest.fixture
def spec(training_spec: TrainingSpec) -> StartSpec:
    optimizer = replace(training_spec.optimizer, weight_decay=0.0, gradient_clip=0.5)
    return StartSpec(
        model=training_spec.model,
        optimizer=optimizer,
        batch_size=training_spec.batch_size,
        batches=5,
        seed=0,
        learning_rates=RATES,
        validation_tokens_per_domain=48,
        products=200,
        curvature_samples=8,
        tolerance=1e-4,
    )


def measured(spec: StartSpec, inputs: dict[str, Path], folder: Path) -> dict[str, Any]:
    folder.mkdir()
    return measure_start(spec, inputs, folder, Placement())


class Reference:
    """torch's own AdamW on the same batches, the weights put back after each step."""

    def __init__(self, spec: StartSpec, inputs: dict[str, Path]) -> None:
        self.model = build_model(spec.model, spec.seed)
        optimizer = build_optimizer(self.model, replace(spec.optimizer, learning_rate=1.0))
        dataset = TokenDataset(inputs["dataset"], spec.model.sequence_length)
        order = read_order(inputs["order"], len(dataset))
        start = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.updates, self.gradients = [], []
        for step in range(spec.batches):
            windows = torch.from_numpy(dataset.read(batch_at(order, step, spec.batch_size)))
            self.model(windows).backward()
            self.gradients.append(self.flat("grad"))
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), spec.optimizer.gradient_clip)
            before = self.flat("data")
            optimizer.step()
            self.updates.append(before - self.flat("data"))
            optimizer.zero_grad()
            self.model.load_state_dict(start)
        correction = 1 - spec.optimizer.beta2**spec.batches
        moments = [optimizer.state[p]["exp_avg_sq"].flatten() for p in self.model.parameters()]
        self.second_moment = torch.cat(moments) / correction

    def flat(self, name: str) -> torch.Tensor:
        return torch.cat([getattr(p, name).flatten().clone() for p in self.model.parameters()])

    def validation_gradient(self, spec: StartSpec, inputs: dict[str, Path]) -> torch.Tensor:
        validation = TokenDataset(inputs["validation"], spec.model.sequence_length)
        samples = select_samples(validation, spec.validation_tokens_per_domain)
        domains = validation.domain_of_samples()[samples]
        losses = [
            self.model(torch.from_numpy(validation.read(samples[domains == index])))
            for index in range(2)
        ]
        torch.stack(losses).mean().backward()
        return self.flat("grad")


def test_updates_are_those_of_torchs_adam(
    spec: StartSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    found = measured(spec, inputs, tmp_path / "start")
    reference = Reference(spec, inputs)
    wanted = reference.validation_gradient(spec, inputs)
    update = torch.stack(reference.updates).mean(0)
    gradient = torch.stack(reference.gradients).mean(0)
    assert found["update_cosine"] == pytest.approx(cosine(update, wanted), abs=1e-4)
    assert found["gradient_cosine"] == pytest.approx(cosine(gradient, wanted), abs=1e-4)
    assert found["gain"] == pytest.approx(float(update @ wanted), rel=1e-3)


def test_the_gain_is_what_a_run_at_a_tiny_rate_gains(
    spec: StartSpec, training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    rate, steps = 1e-6, training_spec.steps
    optimizer = replace(
        spec.optimizer, learning_rate=rate, schedule="constant", warmup_fraction=0.0
    )
    found = measured(replace(spec, batches=steps, products=0), inputs, tmp_path / "start")
    (tmp_path / "run").mkdir()
    training = replace(training_spec, optimizer=optimizer)
    facts = train(training, inputs, tmp_path / "run", Placement())
    after = np.mean([entry["loss"] for entry in facts["validation"].values()])
    assert found["validation_loss"] - after == pytest.approx(rate * steps * found["gain"], rel=0.02)


def test_the_preconditioned_eigenvalue_is_scipys(
    spec: StartSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    found = measured(spec, inputs, tmp_path / "start")
    reference = Reference(spec, inputs)
    validation = TokenDataset(inputs["validation"], spec.model.sequence_length)
    windows = held_out_batch(validation, spec.curvature_samples, spec.seed)
    model = reference.model
    product = BatchLoss(model, windows).hessian_product(list(model.parameters()))
    moment = reference.second_moment
    root = torch.where(moment > 0, (moment.sqrt() + 1e-8) ** -0.5, 0.0)
    for name, scale in (("largest", torch.ones_like(root)), ("preconditioned", root)):
        assert found[f"{name}_eigenvalue"] == pytest.approx(largest(product, scale), rel=1e-3)
    assert found["preconditioned_eigenvalue"] != pytest.approx(found["largest_eigenvalue"])


def largest(product: Any, scale: torch.Tensor) -> float:
    def apply(vector: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        scaled = scale * torch.from_numpy(vector.reshape(-1)).float()
        return (scale * product(scaled)).numpy()

    size = len(scale)
    operator = LinearOperator((size, size), matvec=apply, dtype=np.float32)
    return float(eigsh(operator, k=1, which="LA", return_eigenvectors=False)[0])


def test_rounding_eats_what_is_below_half_a_unit_in_the_last_place() -> None:
    weights = torch.tensor([1.0, 1.0, -0.5, 0.25, 0.0])
    update = torch.tensor([1.0, -1.0, 1.0, 0.0, 1.0])
    # Below 1 the spacing of fp32 is 2^-24, above it 2^-23; a tie goes to the even neighbour.
    rates = [2.0**-26, 2.0**-24.5, 2.0**-20]
    assert still_shares(weights, update, rates, torch.float32) == [3 / 4, 1 / 4, 0.0]
    # bf16 has 8 bits: a step of 2^-20 moves the zero alone.
    assert still_shares(weights, update, rates, torch.bfloat16) == [3 / 4] * 3


def test_shares_fall_with_the_rate_and_bf16_is_worse(
    spec: StartSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    found = measured(replace(spec, products=0), inputs, tmp_path / "start")
    for name in ("still_fp32", "still_bf16"):
        assert found[name] == sorted(found[name], reverse=True)
    assert found["still_bf16"][1] > found["still_fp32"][1]
    assert "largest_eigenvalue" not in found


def test_ngrams_follow_their_formulas(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    model = training_spec.model
    spec = NgramSpec(
        vocabulary_size=model.vocabulary_size,
        sequence_length=model.sequence_length,
        validation_tokens_per_domain=48,
    )
    found = measure_ngrams(spec, inputs, tmp_path, Placement())
    dataset = TokenDataset(inputs["dataset"], model.sequence_length)
    read = dataset.read(read_order(inputs["order"], len(dataset)))
    words = Counter(read.flatten().tolist())
    pairs = Counter(zip(read[:, :-1].ravel().tolist(), read[:, 1:].ravel().tolist(), strict=True))
    before = Counter(read[:, :-1].flatten().tolist())
    validation = TokenDataset(inputs["validation"], model.sequence_length)
    samples = select_samples(validation, 48)
    windows = validation.read(samples[validation.domain_of_samples()[samples] == 0])

    def unigram(word: int) -> float:
        return (words[word] + 1) / (read.size + model.vocabulary_size)

    def bigram(first: int, word: int) -> float:
        return (pairs[first, word] + 100 * unigram(word)) / (before[first] + 100)

    following = [(a, b) for row in windows.tolist() for a, b in itertools.pairwise(row)]
    expected = -np.mean([np.log(unigram(word)) for _, word in following])
    assert found["unigram"]["even"] == pytest.approx(expected)
    expected = -np.mean([np.log(bigram(*pair)) for pair in following])
    assert found["bigram"]["even"] == pytest.approx(expected)
    assert found["bigram"]["even"] < found["unigram"]["even"]


def test_the_scale_of_initialisation_multiplies_every_matrix(training_spec: TrainingSpec) -> None:
    plain = build_model(training_spec.model, 0)
    scaled = build_model(replace(training_spec.model, initial_scale=2.0), 0)

    def matrices(model: Decoder) -> list[torch.Tensor]:
        return [parameter for parameter in model.parameters() if parameter.dim() == 2]

    for one, other in zip(matrices(plain), matrices(scaled), strict=True):
        assert torch.allclose(2 * one, other)
