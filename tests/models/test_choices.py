"""Items scored by likelihood, against the model asked word by word."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from curricle.core.choice_items import ChoiceItem, read_items, write_items
from curricle.core.errors import InputError, IntegrityError
from curricle.core.jobs import ChoicesSpec, ModelSpec
from curricle.models.checkpoint import save_spec, save_weights
from curricle.models.choices import choices
from curricle.models.decoder import Decoder, build_model
from curricle.models.placement import Placement
from curricle.recipes.specs.spectrum import SpectrumSource
from curricle.recipes.spectrum.generating import items
from curricle.recipes.spectrum.tokenizer import spectrum_tokenizer
from curricle.recipes.spectrum.words import vocabulary

Inputs = dict[str, Path]


@pytest.fixture
def asked() -> list[ChoiceItem]:
    return list(items(SpectrumSource(source="spectrum", tokens_per_stage=100), 2, 0.5, 0))


@pytest.fixture
def model(tmp_path: Path) -> Decoder:
    spec = ModelSpec(
        family="gpt2",
        num_layers=1,
        width=16,
        num_heads=2,
        vocabulary_size=len(vocabulary()),
        sequence_length=96,
    )
    model = build_model(spec, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    save_spec(tmp_path, spec)
    save_weights(tmp_path, dict(model.named_parameters()))
    return model.eval()


@pytest.fixture
def inputs(tmp_path: Path, asked: list[ChoiceItem], model: Decoder) -> Inputs:
    write_items(tmp_path, asked)
    (tmp_path / "tokenizer.json").write_text(spectrum_tokenizer().to_str())
    return dict.fromkeys(("checkpoint", "items", "tokenizer"), tmp_path)


def likelihood(model: Decoder, prompt: str, choice: str) -> float:
    """Log-likelihood of the choice, one forward pass a word."""
    tokenizer = spectrum_tokenizer()
    context, total = tokenizer.encode(prompt).ids, 0.0
    for target in tokenizer.encode(choice).ids:
        with torch.no_grad():
            hidden = model.hidden(torch.tensor([context]))[0, -1]
            total += float(model.logits(hidden).log_softmax(-1)[target])
        context = [*context, target]
    return total


def test_the_answer_is_the_likeliest_choice(
    inputs: Inputs, asked: list[ChoiceItem], model: Decoder, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    output.mkdir()
    facts = choices(ChoicesSpec(), inputs, output, Placement())
    rows = pq.read_table(output / "choices.parquet").to_pylist()
    assert [row["number"] for row in rows] == [item.number for item in asked]
    for item, row in zip(asked, rows, strict=True):
        scores = np.array([likelihood(model, item.prompt, one) for one in item.choices])
        assert row["correct"] == (scores.argmax() == item.answer)
        assert row["nats"] == pytest.approx(-scores[item.answer], abs=1e-4)
        shares = np.exp(scores - scores.max())
        assert row["probability"] == pytest.approx(shares[item.answer] / shares.sum(), abs=1e-4)
    for family in facts["families"]:
        mine = [row for row in rows if row["family"] == family["family"]]
        assert family["items"] == len(mine) == 2
        assert family["accuracy"] == np.mean([row["correct"] for row in mine])
        assert family["chance"] == pytest.approx(np.mean([1 / row["choices"] for row in mine]))
    assert sum(family["held_out"] for family in facts["families"]) == 6


def test_a_prompt_that_is_too_long_is_refused(
    inputs: Inputs, model: Decoder, tmp_path: Path
) -> None:
    short = tmp_path / "short"
    short.mkdir()
    spec = ModelSpec(
        family="gpt2",
        num_layers=1,
        width=16,
        num_heads=2,
        vocabulary_size=len(vocabulary()),
        sequence_length=16,
    )
    save_spec(short, spec)
    save_weights(short, dict(build_model(spec, 0).named_parameters()))
    with pytest.raises(InputError, match="longer than the model's 16 positions"):
        choices(ChoicesSpec(), {**inputs, "checkpoint": short}, tmp_path, Placement())


def test_items_come_back_as_they_were(asked: list[ChoiceItem], tmp_path: Path) -> None:
    assert write_items(tmp_path, asked) == len(asked) == 2 * 26
    assert read_items(tmp_path) == asked
    (tmp_path / "items.parquet").write_bytes(b"PAR1")
    with pytest.raises(IntegrityError, match=r"items\.parquet"):
        read_items(tmp_path)
