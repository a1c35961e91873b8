import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from curricle.core.errors import InputError, IntegrityError, JobError
from curricle.core.jobs import OptimizerSpec, TrainingSpec
from curricle.core.order_file import batch_at, read_order, write_order
from curricle.core.token_dataset import TokenDataset
from curricle.models.blocks import Block
from curricle.models.decoder import build_model
from curricle.models.optimizer import build_optimizer
from curricle.models.placement import Placement
from curricle.models.schedule import learning_rate_at
from curricle.models.training import TrainingRun, train
from curricle.models.training_inputs import open_inputs
from curricle.models.validation import select_samples, validate

Variant = Callable[..., TrainingSpec]


def run(spec: TrainingSpec, inputs: dict[str, Path], folder: Path) -> dict[str, torch.Tensor]:
    folder.mkdir()
    train(spec, inputs, folder, Placement())
    return dict(load_file(folder / "model.safetensors"))


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_same_spec_is_bit_identical_and_seeds_differ(
    training_spec: TrainingSpec, variant: Variant, inputs: dict[str, Path], tmp_path: Path
) -> None:
    first = run(training_spec, inputs, tmp_path / "first")
    again = run(training_spec, inputs, tmp_path / "again")
    other = run(variant(seed=1), inputs, tmp_path / "other")
    assert equal(first, again)
    assert not equal(first, other)


def test_the_loop_equals_a_plain_one(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    trained = run(training_spec, inputs, tmp_path / "ours")
    model = build_model(training_spec.model, training_spec.seed)
    optimizer = build_optimizer(model, training_spec.optimizer)
    dataset = TokenDataset(inputs["dataset"], training_spec.model.sequence_length)
    order = read_order(inputs["order"], len(dataset))
    for step in range(training_spec.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, training_spec.steps, training_spec.optimizer)
        windows = torch.from_numpy(dataset.read(batch_at(order, step, training_spec.batch_size)))
        logits = model.logits(model.hidden(windows[:, :-1]))
        F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training_spec.optimizer.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(trained[name], tensor, atol=2e-5, rtol=1e-3)


def test_what_is_learnt_is_measured_per_domain(
    variant: Variant, inputs: dict[str, Path], tmp_path: Path
) -> None:
    spec = variant(steps=20)
    facts = train(spec, inputs, tmp_path, Placement())
    assert facts["first_loss"] == pytest.approx(math.log(97), abs=0.1)
    assert set(facts["validation"]) == {"even", "odd"}
    rows = pq.read_table(tmp_path / "validation.parquet").to_pandas()
    for name, entry in facts["validation"].items():
        mine = rows[rows["domain"] == name]
        assert len(mine) == entry["samples"] == 48 // spec.model.sequence_length
        assert entry["loss"] == pytest.approx(mine["loss"].mean())
        assert entry["loss"] < facts["first_loss"] - 0.05


def test_a_held_out_domain_shorter_than_a_sample_is_named(
    training_spec: TrainingSpec, inputs: dict[str, Path]
) -> None:
    dataset = TokenDataset(inputs["validation"], sequence_length=10_000)
    with pytest.raises(InputError, match=r"held-out domain 'even': 620 tokens, expected at least"):
        select_samples(dataset, 10)


def test_metrics_are_lines_with_tokens(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    train(training_spec, inputs, tmp_path, Placement())
    entries = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    per_step = training_spec.batch_size * training_spec.model.sequence_length
    assert [entry["tokens"] for entry in entries[:-1]] == [per_step * (i + 1) for i in range(20)]
    steps = [entry["values"] for entry in entries[:-1]]
    names = ("loss", "gradient_norm", "learning_rate", "tokens_per_second", "mfu")
    assert {frozenset(values) for values in steps} == {frozenset(f"train/{n}" for n in names)}
    assert all(math.isfinite(x) and x > 0 for values in steps for x in values.values())
    rates = [learning_rate_at(step, 20, training_spec.optimizer) for step in range(20)]
    assert [values["train/learning_rate"] for values in steps] == rates
    assert set(entries[-1]["values"]) == {"validation/loss/even", "validation/loss/odd"}


def test_validations_count_neither_as_training_nor_in_its_speed(
    training_spec: TrainingSpec,
    inputs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slowly(*arguments: Any) -> dict[str, dict[str, float]]:
        time.sleep(0.5)
        return validate(*arguments)

    monkeypatch.setattr("curricle.models.training.validate", slowly)
    per_step = training_spec.tokens_per_step
    spec = replace(training_spec, validations_at=tuple(per_step * n for n in (5, 10, 15)))
    began = time.monotonic()
    facts = train(spec, inputs, tmp_path, Placement())
    took = time.monotonic() - began
    assert 0 < facts["training_seconds"] < took - 4 * 0.5
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    last = next(line for line in reversed(lines) if "train/loss" in line["values"])
    assert spec.tokens / last["values"]["train/tokens_per_second"] <= facts["training_seconds"]


def test_seconds_of_training_are_carried_from_attempt_to_attempt(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    data = open_inputs(training_spec, inputs, Placement())
    log = TrainingRun(training_spec, data, tmp_path, Placement()).log
    log.start(0, None)
    first = log.facts
    log.start(0, {**first, "training_seconds": 100.0})
    assert 100 < log.facts["training_seconds"] < log.seconds


def test_checkpoints_are_kept_at_their_shares(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    full = run(training_spec, inputs, tmp_path / "full")
    early = load_file(tmp_path / "full" / "model-at-240.safetensors")
    assert set(early) == set(full)
    assert not equal(dict(early), full)


def test_an_order_of_another_length_is_refused(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    write_order(inputs["order"], np.arange(5))
    with pytest.raises(InputError, match=r"order of 5 samples, expected 80"):
        train(training_spec, inputs, tmp_path, Placement())


def test_a_diverging_run_stops_and_names_its_samples(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    optimizer = replace(training_spec.optimizer, learning_rate=1e30)
    with pytest.raises(JobError, match=r"the loss is (nan|inf) at step .*samples \["):
        train(replace(training_spec, optimizer=optimizer), inputs, tmp_path, Placement())


def test_weight_decay_spares_norms_biases_and_embeddings(training_spec: TrainingSpec) -> None:
    model = build_model(training_spec.model, 0)
    decayed, spared = build_optimizer(model, training_spec.optimizer).param_groups
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0.0
    assert len(decayed["params"]) == 2 * 4
    assert len(decayed["params"]) + len(spared["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1, 1, 1]),
        ("linear", [1, 0.55, 0.19]),
        ("cosine", [1, 0.55, 0.1220]),
        ("wsd", [1, 1, 0.55]),
    ],
)
def test_schedules(training_spec: TrainingSpec, schedule: str, expected: list[float]) -> None:
    spec: OptimizerSpec = replace(
        training_spec.optimizer, learning_rate=1.0, warmup_fraction=0.0, schedule=schedule
    )
    rates = [learning_rate_at(step, 10, spec) for step in (0, 5, 9)]
    np.testing.assert_allclose(rates, expected, atol=1e-4)


def test_warm_up_is_linear(training_spec: TrainingSpec) -> None:
    spec = replace(training_spec.optimizer, learning_rate=1.0, warmup_fraction=0.4)
    rates = [learning_rate_at(step, 10, spec) for step in range(5)]
    np.testing.assert_allclose(rates[:4], [0.25, 0.5, 0.75, 1.0])
    assert rates[4] == 1.0


def test_accumulated_gradients_are_those_of_the_batch(
    training_spec: TrainingSpec, variant: Variant, inputs: dict[str, Path], tmp_path: Path
) -> None:
    whole = run(training_spec, inputs, tmp_path / "whole")
    parts = run(variant(micro_batch_size=1), inputs, tmp_path / "parts")
    for name, tensor in whole.items():
        torch.testing.assert_close(parts[name], tensor, atol=1e-4, rtol=1e-3)


def test_bf16_keeps_master_weights_and_learns_the_same(
    training_spec: TrainingSpec, variant: Variant, inputs: dict[str, Path], tmp_path: Path
) -> None:
    plain = run(training_spec, inputs, tmp_path / "fp32")
    mixed = run(variant(precision="bf16"), inputs, tmp_path / "bf16")
    assert {tensor.dtype for tensor in mixed.values()} == {torch.float32}
    # Updates far below bf16's resolution of the weights are kept.
    assert not any(
        torch.equal(mixed[k], mixed[k].bfloat16().float()) for k in mixed if "norm" not in k
    )
    for name, tensor in plain.items():
        torch.testing.assert_close(mixed[name], tensor, atol=2e-2, rtol=0.1)


def test_dropout_is_a_function_of_the_seed_alone(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    spec = replace(training_spec, model=replace(training_spec.model, dropout=0.3))
    first = run(spec, inputs, tmp_path / "first")
    torch.manual_seed(12345)
    assert equal(first, run(spec, inputs, tmp_path / "second"))
    assert not equal(first, run(training_spec, inputs, tmp_path / "none"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"micro_batch_size": 3}, r"batch_size 4, micro_batch_size 3, 1 devices, expected a batch"),
        ({"precision": "fp8"}, r"precision 'fp8', expected one of"),
        (
            {"batch_size": 400, "checkpoints_at": ()},
            r"dataset of \d+ samples, expected at least one batch of 400",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_training(
    changes: dict[str, Any],
    message: str,
    variant: Variant,
    inputs: dict[str, Path],
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=message):
        train(variant(**changes), inputs, tmp_path, Placement())
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_dataset_of_another_vocabulary_is_refused(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    model = replace(training_spec.model, vocabulary_size=500)
    with pytest.raises(InputError, match=r"vocabulary of 97, expected the model's 500"):
        train(replace(training_spec, model=model), inputs, tmp_path, Placement())


def test_an_order_that_names_a_missing_sample_is_refused(
    training_spec: TrainingSpec, inputs: dict[str, Path], tmp_path: Path
) -> None:
    write_order(inputs["order"], np.full(80, 10_000))
    with pytest.raises(IntegrityError, match="names sample 10000, the dataset ends at"):
        train(training_spec, inputs, tmp_path, Placement())


def test_validation_on_the_way(variant: Variant, inputs: dict[str, Path], tmp_path: Path) -> None:
    train(variant(validations_at=(240, 480)), inputs, tmp_path, Placement())
    entries = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    points = [e["tokens"] for e in entries if "validation/loss/even" in e["values"]]
    assert points == [240, 480, 960]


def test_compiled_blocks_train_alike_and_are_validated_as_they_are(
    variant: Variant, inputs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a compiler that leaves the graph as it is, and counts how often it runs."""
    calls: list[int] = []

    def counting(graph: torch.fx.GraphModule, _: list[torch.Tensor]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            calls.append(1)
            return graph(*arguments)

        return run

    plain = run(variant(validations_at=(480,)), inputs, tmp_path / "plain")
    compile_block = torch.nn.Module.compile
    monkeypatch.setattr(Block, "compile", lambda block: compile_block(block, backend=counting))
    compiled = run(variant(validations_at=(480,), compile=True), inputs, tmp_path / "compiled")
    for name, tensor in plain.items():
        torch.testing.assert_close(compiled[name], tensor, atol=1e-5, rtol=1e-4)
    assert len(calls) == 20 * 2  # steps x blocks: no validation among them
