import math
from dataclasses import replace

import pytest

from curricle.core.errors import InputError
from curricle.core.families import FAMILIES, widths_of
from curricle.core.jobs import ModelSpec
from curricle.core.model_size import (
    non_embedding_parameters,
    parameters,
    with_non_embedding_parameters,
)
from curricle.core.presets import PRESETS, preset

OPEN = ModelSpec(
    family="gpt2", num_layers=1, width=64, num_heads=1, vocabulary_size=1, sequence_length=1
)

# Released sizes: Pythia's as its authors print them, the others' from the files' tensors.
PUBLISHED = {
    "GPT2-124M": 124_439_808,
    "GPT2-355M": 354_823_168,
    "GPT2-774M": 774_030_080,
    "Pythia-70M": 70_426_624,
    "Pythia-160M": 162_322_944,
    "Pythia-410M": 405_334_016,
    "Pythia-1B": 1_011_781_632,
    "OPT-125M": 125_239_296,
    "OPT-350M": 331_196_416,
}
PUBLISHED_NON_EMBEDDING = {
    "Pythia-70M": 18_915_328,
    "Pythia-160M": 85_056_000,
    "Pythia-410M": 302_311_424,
    "Pythia-1B": 805_736_448,
}
# Millions, the output head among them (arXiv 2504.11393).
DATADECIDE = {
    "4M": 3.7,
    "6M": 6.0,
    "8M": 8.5,
    "10M": 9.9,
    "14M": 14.4,
    "16M": 16.0,
    "20M": 19.1,
    "60M": 57.1,
    "90M": 97.9,
    "150M": 151.9,
    "300M": 320.0,
    "530M": 530.1,
    "750M": 681.3,
    "1B": 1176.8,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_have_the_published_number_of_parameters(name: str) -> None:
    assert parameters(preset(name)) == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED_NON_EMBEDDING)
def test_presets_have_the_published_number_outside_embeddings(name: str) -> None:
    assert non_embedding_parameters(preset(name)) == PUBLISHED_NON_EMBEDDING[name]


@pytest.mark.parametrize("name", DATADECIDE)
def test_datadecides_sizes_count_the_head(name: str) -> None:
    spec = preset(f"DataDecide-{name}")
    head = spec.vocabulary_size * spec.width
    assert round((non_embedding_parameters(spec) + head) / 1e6, 1) == DATADECIDE[name]


def test_the_papers_curriculum_models_have_their_sizes() -> None:
    sizes = [parameters(preset(f"IrreducibleCurriculum-{name}")) for name in ("82M", "124M")]
    assert [round(size / 1e6) for size in sizes] == [82, 124]


def test_every_preset_is_a_possible_shape() -> None:
    for spec in PRESETS.values():
        assert widths_of(spec).head * spec.num_heads == spec.width


@pytest.mark.parametrize("family", FAMILIES)
def test_the_size_knob_is_monotone_and_close(family: str) -> None:
    targets = [round(20_000 * 1.09**step) for step in range(150)]
    spec = replace(OPEN, family=family)
    found = [with_non_embedding_parameters(spec, target) for target in targets]
    sizes = [non_embedding_parameters(shape) for shape in found]
    assert sizes == sorted(sizes)
    for target, size, shape in zip(targets, sizes, found, strict=True):
        allowed = [0.25, 0.25, 0.10, 0.05, 0.05][max(0, min(4, int(math.log10(target)) - 4))]
        if target >= 100_000:
            assert abs(size / target - 1) <= allowed, (target, size)
        assert shape.width / 64 <= shape.num_layers <= shape.width / 32
        assert widths_of(shape).head in (16, 32, 64)
    assert targets[-1] > 7e9


def test_the_size_knob_finds_its_own_shapes() -> None:
    shape = replace(OPEN, num_layers=12, width=768, num_heads=12)
    assert with_non_embedding_parameters(OPEN, non_embedding_parameters(shape)) == shape


@pytest.mark.parametrize("target", [1, 10**13])
def test_a_size_out_of_range_is_refused(target: int) -> None:
    with pytest.raises(
        InputError, match=rf"non_embedding_parameters {target}, expected from 12768"
    ):
        with_non_embedding_parameters(OPEN, target)


def test_presets_are_found_in_any_case_of_letters() -> None:
    assert preset("pythia-70m") == PRESETS["Pythia-70M"]


def test_an_unknown_preset_is_refused_with_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"preset 'GPT-124M', .*did you mean GPT2-124M\?"):
        preset("GPT-124M")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": "bert"}, "family 'bert', expected one of gpt2, pythia, opt, llama"),
        ({"num_heads": 3}, "width 64 with num_heads 3, expected a width that is a multiple of"),
        ({"family": "llama", "num_heads": 4, "num_kv_heads": 3}, "num_heads 4 with num_kv_heads 3"),
        ({"family": "pythia", "num_heads": 16}, "heads of width 4 in family pythia, expected a m"),
        ({"num_kv_heads": 1}, "num_kv_heads 1 in family gpt2, expected it in llama alone"),
        ({"post_norm": True}, "post_norm True in family gpt2, expected it in opt alone"),
        ({"rotary_base": 3.0}, "rotary_base 3.0 in family gpt2, expected it in pythia or llama"),
    ],
)
def test_impossible_shapes_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        widths_of(replace(OPEN, **changes))  # type: ignore[arg-type]
