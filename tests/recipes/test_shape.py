from typing import Any

import pytest

from curricle.core.errors import InputError
from curricle.core.jobs import ModelSpec
from curricle.recipes.loading import load_study
from curricle.recipes.specs.recipe import TokenizerSpec
from curricle.recipes.specs.shape import Shape

TOKENIZER = TokenizerSpec(vocabulary_size=4096, sequence_length=128)
WITHOUT_SIZE = ["target.num_layers=null", "target.width=null", "target.num_heads=null"]


def model(**keys: Any) -> ModelSpec:
    return Shape.model_validate(keys).model_spec(TOKENIZER)


def test_a_size_given_outright() -> None:
    expected = ModelSpec(
        family="gpt2",
        num_layers=2,
        width=64,
        num_heads=4,
        vocabulary_size=4096,
        sequence_length=128,
    )
    assert model(num_layers=2, width=64, num_heads=4) == expected


def test_a_preset_gives_the_shape_and_the_tokenizer_the_rest() -> None:
    spec = model(preset="OPT-350M", dropout=0.1)
    assert (spec.family, spec.size, spec.embedding_width, spec.post_norm) == (
        *("opt", "24x1024"),
        *(512, True),
    )
    assert (spec.vocabulary_size, spec.sequence_length, spec.dropout) == (4096, 128, 0.1)
    assert model(preset="OPT-350M", family="opt", dropout=0.1) == spec


def test_a_number_of_parameters_gives_the_shape() -> None:
    spec = model(non_embedding_parameters=1_000_000, family="llama")
    assert (spec.family, spec.size, spec.num_heads) == ("llama", "4x144", 9)
    assert (spec.vocabulary_size, spec.sequence_length) == (4096, 128)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["target.preset=GPT2-124M"],
            r"target: a size given by num_layers, width, num_heads, preset, expected num_layers wi",
        ),
        (WITHOUT_SIZE, r"target: a size given by nothing"),
        ([WITHOUT_SIZE[0]], r"target: a size given by width, num_heads, expected"),
        (
            [*WITHOUT_SIZE, "target.preset=GPT2-124M", "target.non_embedding_parameters=1000000"],
            r"a size given by preset, non_embedding_parameters",
        ),
        ([*WITHOUT_SIZE, "target.preset=GPT2-125M"], r"preset 'GPT2-125M'.*mean GPT2-124M\?"),
        (
            [*WITHOUT_SIZE, "target.preset=GPT2-124M", "target.family=opt"],
            r"family opt with preset GPT2-124M, which is gpt2",
        ),
        ([*WITHOUT_SIZE, "target.non_embedding_parameters=9"], r"expected from 12768 to \d+"),
        (["target.width=130"], r"target: width 130 with num_heads 4"),
        (["target.family=pythia", "target.width=16"], r"heads of width 4 in family pythia"),
        (["target.family=gpt3"], r"target\.family: 'gpt3', expected 'gpt2', 'pythia', 'opt' or"),
        (["target.dropout=1.0"], r"target\.dropout: 1\.0, expected less than 1"),
    ],
)
def test_each_mistake_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_study("quickstart", overrides)
    assert "\n" not in str(caught.value)
