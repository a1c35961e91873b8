import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from curricle.core.jobs import ModelSpec, OptimizerSpec, TrainingSpec
from curricle.core.order_file import write_order
from curricle.core.token_dataset import DatasetWriter, TokenizedDocument

VOCABULARY = 97


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def eager_collection() -> Iterator[None]:
    """Garbage is collected at nearly every new object, old garbage too."""
    thresholds = gc.get_threshold()
    gc.collect()
    # All that lives now is left out, so that a full collection is cheap, and due at once.
    gc.freeze()
    gc.collect()
    gc.set_threshold(1, 1, 1)
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.fixture
def model_spec() -> ModelSpec:
    return ModelSpec(
        family="gpt2",
        num_layers=2,
        width=16,
        num_heads=2,
        vocabulary_size=VOCABULARY,
        sequence_length=12,
    )


@pytest.fixture
def training_spec(model_spec: ModelSpec) -> TrainingSpec:
    optimizer = OptimizerSpec(
        learning_rate=3e-3,
        schedule="cosine",
        warmup_fraction=0.1,
        final_fraction=0.1,
        weight_decay=0.1,
        gradient_clip=1.0,
    )
    return TrainingSpec(
        model=model_spec,
        optimizer=optimizer,
        batch_size=4,
        steps=20,
        seed=0,
        checkpoints_at=(240, 960),
        validation_tokens_per_domain=48,
    )


@pytest.fixture
def inputs(tmp_path: Path, training_spec: TrainingSpec) -> dict[str, Path]:
    """A dataset whose next token can be learnt, a validation set like it, and an order."""
    paths = {role: tmp_path / role for role in ("dataset", "validation", "order")}
    for path in paths.values():
        path.mkdir()
    _write_dataset(paths["dataset"], seed=1)
    _write_dataset(paths["validation"], seed=2)
    order = np.random.default_rng(3).permutation(80)[: training_spec.samples]
    write_order(paths["order"], order)
    return paths


def _write_dataset(folder: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    writer = DatasetWriter(folder, vocabulary_size=VOCABULARY, end_of_text=0)
    for number, domain in enumerate(("even", "odd")):
        documents = []
        for index in range(20):
            start = int(draw.integers(1, 40))
            tokens = [1 + (start + step * (number + 1)) % (VOCABULARY - 1) for step in range(30)]
            documents.append(TokenizedDocument(f"{domain}{index}", "made up", 60, tokens))
        writer.write_domain(domain, documents)
    writer.finish()


@pytest.fixture
def variant(training_spec: TrainingSpec) -> Callable[..., TrainingSpec]:
    return lambda **changes: replace(training_spec, **changes)
