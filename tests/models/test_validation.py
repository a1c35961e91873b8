from pathlib import Path

import numpy as np
import pytest
import torch

from curricle.core.jobs import ModelSpec
from curricle.core.token_dataset import TokenDataset
from curricle.models import validation
from curricle.models.decoder import build_model
from curricle.models.validation import _losses_of_rank, select_samples


@pytest.mark.parametrize("ranks", [2, 3, 7])
def test_shared_out_over_ranks_every_bit_is_the_same(
    ranks: int, model_spec: ModelSpec, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "EVALUATION_BATCH", 3)
    dataset = TokenDataset(inputs["validation"], model_spec.sequence_length)
    samples = select_samples(dataset, tokens_per_domain=84)
    model = build_model(model_spec, 0).eval()
    with torch.no_grad():
        alone = _losses_of_rank(model, dataset, samples, 0, 1)
        parts = [_losses_of_rank(model, dataset, samples, rank, ranks) for rank in range(ranks)]
    assert len(samples) == 14  # five batches, which no number of ranks here divides
    assert torch.equal(torch.stack(parts).sum(0), alone)


def test_a_sharded_model_is_asked_equally_often_on_every_rank(
    model_spec: ModelSpec, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "EVALUATION_BATCH", 3)
    dataset = TokenDataset(inputs["validation"], model_spec.sequence_length)
    model = build_model(model_spec, 0).eval()
    counts = []
    for rank in range(2):
        passes: list[int] = []
        hook = model.blocks[0].register_forward_hook(lambda *_, passes=passes: passes.append(1))
        with torch.no_grad():
            _losses_of_rank(model, dataset, np.arange(14), rank, 2)
        hook.remove()
        counts.append(len(passes))
    assert counts == [3, 3]
