"""What a study may not say about curricula."""

from pathlib import Path

import pytest

from curricle.core.errors import InputError
from curricle.recipes.loading import load_study
from curricle.recipes.specs.curricula import GrowingPool, transfers_of, twins_of


def test_a_growing_pool_is_the_default(tiny_study: Path) -> None:
    study = load_study(str(tiny_study))
    assert study.curricula["learnability"] == GrowingPool()


@pytest.mark.parametrize(
    ("curriculum", "message"),
    [
        ("{pacing: growing, full_at: 1}", r"pacing is 'growing', expected one of growing-pool"),
        ("{start_fraction: 0}", "start_fraction: 0, expected"),
        ("{start_fraction: 1.5}", r"start_fraction: 1.5, expected less than or equal to 1"),
        ("{full_at: 1.5}", r"full_at: 1.5, expected less than or equal to 1"),
        ("{pacing: sorted, full_at: 0.5}", r"full_at: unknown key, expected one of"),
        ("{pacing: bucketed, buckets: 1}", "buckets: 1, expected greater than or equal to 2"),
        ("{pacing: v-shaped, turn: 1.0}", "turn: 1.0, expected less than 1"),
        (
            "{pacing: stages, stages: [{tokens: 96}, {tokens: 4001}]}",
            r"curriculum 'x': stages of 4097 tokens in all, expected target.tokens, 4096",
        ),
        ("{pacing: stages, stages: []}", "stages"),
        (
            "{pacing: stages, stages: [{tokens: 4096, mix: {prose: 1, poems: 2}}]}",
            r"curriculum 'x': stage 1 reads domain 'poems', expected domains of .* licences, prose",
        ),
        (
            "{drawing: with-replacement, max_repeats: 2}",
            "max_repeats with drawing with-replacement, expected a cap",
        ),
    ],
)
def test_curricula_that_cant_be_are_refused(
    tiny_study: Path, curriculum: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_study(str(tiny_study), [f"curricula.x={curriculum}"])


def test_a_domain_that_only_the_documents_know_may_be_read(tiny_study: Path) -> None:
    rows = "{source: files, path: x.jsonl, domain_column: domain}"
    stages = "{pacing: stages, stages: [{tokens: 4096, mix: {poems: 2}}]}"
    load_study(str(tiny_study), [f"corpora={{a: {rows}}}", f"curricula.x={stages}"])
    rows = "{source: files, path: x.jsonl, domain: poems}"
    load_study(str(tiny_study), [f"corpora={{a: {rows}}}", f"curricula.x={stages}"])
    spectrum = "{source: spectrum, tokens_per_stage: 1000}"
    with pytest.raises(InputError, match="stage 1 reads domain 'poems', expected .* cloze, facts"):
        load_study(str(tiny_study), [f"corpora={{a: {spectrum}}}", f"curricula.x={stages}"])


def test_stages_say_which_tokens_the_target_needs(tiny_study: Path) -> None:
    stages = "{pacing: stages, stages: [{tokens: 96}, {tokens: 4000}]}"
    overrides = [f"curricula.x={stages}", "target.tokens=null", "target.tokens_per_parameter=20"]
    expected = "expected target.tokens, the 4096 of the stages, fix: give target.tokens: 4096"
    with pytest.raises(InputError, match=expected):
        load_study(str(tiny_study), overrides)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("{mtld: 0}", "both: no weight but 0, expected a weight that counts"),
        ("{mtld: 0, length: -0.0}", "both: no weight but 0"),
        ("{mtld: .inf}", "finite"),
        ("{mtld: .nan}", "finite"),
    ],
)
def test_weights_that_come_to_nothing_are_refused(
    tiny_study: Path, weights: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_study(str(tiny_study), [f"scoring.combinations={{both: {weights}}}"])


TWIN = "{pacing: oversampled-v, score: unigram-entropy, direction: ascending}"


def test_a_twin_makes_the_same_choice_beforehand(tiny_study: Path) -> None:
    online = "curricula.x={pacing: online-entropy-v, twin: y}"
    study = load_study(str(tiny_study), [online, f"curricula.y={TWIN}"])
    assert twins_of(study.curricula) == {"x": "y"}
    for other in (TWIN.replace("ascending", "descending"), TWIN.replace("}", ", turn: 0.5}"), "{}"):
        with pytest.raises(InputError, match=r"'x' with twin 'y', expected .*unigram-entropy"):
            load_study(str(tiny_study), [online, f"curricula.y={other}"])
    with pytest.raises(InputError, match="'x' with twin 'y'"):
        load_study(str(tiny_study), [online])


def test_given_scores_are_compared_with_what_is_else_the_same(tiny_study: Path) -> None:
    pools = """{
      own: {full_at: 0.4}, given: {full_at: 0.4, scores: A}, other: {full_at: 0.4, scores: B},
      fewer: {full_at: 0.4, scores: A, seeds: 3}, slower: {full_at: 0.5, scores: A},
      sorted: {pacing: sorted}, sorted-given: {pacing: sorted, scores: A},
      rho: {pacing: rho-loss}, rho-given: {pacing: rho-loss, scores: A}}"""
    study = load_study(str(tiny_study), [f"curricula={pools}"])
    assert set(transfers_of(study.curricula)) == {
        *((name, "own") for name in ("given", "other", "fewer")),
        ("sorted-given", "sorted"),
        ("rho-given", "rho"),
    }


def test_the_irreducible_study_has_its_arms_and_evaluations() -> None:
    study = load_study("irreducible")
    pools = {name: pool for name, pool in study.curricula.items() if isinstance(pool, GrowingPool)}
    assert pools == study.curricula
    settings = sorted((pool.start_fraction, pool.full_at) for pool in pools.values())
    assert settings == [(start, full) for start in (0.25, 0.5) for full in (0.2, 0.5, 1.0)]
    assert [name for name, pool in pools.items() if pool.seeds is None] == ["learnability-50-50"]
    assert (study.target.seeds, {pool.seeds for pool in pools.values()}) == (5, {None, 3})
    choice, sharpness = study.evaluation.multiple_choice, study.evaluation.sharpness
    assert choice is not None
    assert (choice.shots, len(choice.subjects), study.evaluation.mmlu) == (
        *(5, 5),
        "../shared/data/mmlu.tar.gz",
    )
    assert sharpness is not None
    assert (sharpness.points, sharpness.batch_size) == (3, 8)
    assert study.tokenizer.sequence_length == 256


@pytest.mark.parametrize("name", ["irreducible", "online-entropy", "rho-loss"])
def test_every_curriculum_study_has_a_paper_variant_and_is_compared_at_equal_cost(
    name: str,
) -> None:
    study, paper = load_study(name), load_study(f"{name}-paper")
    assert paper.curricula == study.curricula
    assert paper.target.tokens is not None
    assert paper.target.tokens > 100_000_000
    assert study.target.longer is not None
