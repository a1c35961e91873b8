import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curricle.core.errors import InputError
from curricle.core.jobs import ModelSpec, OptimizerSpec, TrainingSpec
from curricle.core.plain import canonical_json, fingerprint, from_plain, to_plain

SPEC = TrainingSpec(
    model=ModelSpec(
        family="gpt2",
        num_layers=2,
        width=8,
        num_heads=2,
        vocabulary_size=16,
        sequence_length=4,
    ),
    optimizer=OptimizerSpec(
        learning_rate=1e-4,
        schedule="constant",
        warmup_fraction=0.0,
        final_fraction=0.1,
        weight_decay=0.1,
        gradient_clip=1.0,
    ),
    batch_size=2,
    steps=3,
    seed=0,
    checkpoints_at=(512, 1024),
    validation_tokens_per_domain=8,
)


def test_specs_survive_the_way_through_json() -> None:
    assert from_plain(TrainingSpec, to_plain(SPEC)) == SPEC


def test_derived_quantities() -> None:
    assert SPEC.samples == 6
    assert SPEC.tokens == 24
    assert SPEC.model.size == "2x8"


def test_fingerprint_depends_on_every_field() -> None:
    changed = [
        dataclasses.replace(SPEC, seed=1),
        dataclasses.replace(SPEC, steps=4),
        dataclasses.replace(
            SPEC, optimizer=dataclasses.replace(SPEC.optimizer, learning_rate=2e-4)
        ),
        dataclasses.replace(SPEC, checkpoints_at=(512,)),
    ]
    assert len({fingerprint(spec) for spec in (SPEC, *changed)}) == 5


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.floats(allow_nan=False)))
def test_equal_mappings_have_one_spelling(mapping: dict[str, object]) -> None:
    finite = {
        key: value
        for key, value in mapping.items()
        if not isinstance(value, float) or math.isfinite(value)
    }
    assert canonical_json(finite) == canonical_json(dict(reversed(list(finite.items()))))


@pytest.mark.parametrize("value", [{1, 2}, object(), math.nan, math.inf, {1: "a"}])
def test_values_without_stable_bytes_are_refused(value: object) -> None:
    with pytest.raises(TypeError):
        fingerprint(value)


def test_unknown_and_missing_keys_are_named() -> None:
    plain = to_plain(SPEC.model)
    with pytest.raises(InputError, match="widht"):
        from_plain(ModelSpec, {**plain, "widht": 3})
    del plain["width"]
    with pytest.raises(InputError, match="width"):
        from_plain(ModelSpec, plain)
