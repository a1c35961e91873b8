import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from curricle.core.errors import InputError
from curricle.models.decoder import build_model, count_parameters
from curricle.recipes.loading import load_study
from curricle.recipes.specs.training import Setting

EIGHT = "sweep.pythia={recipes: [untouched, exact-dedup], proxy: {family: pythia}}"


def test_a_variant_names_only_what_differs() -> None:
    study = load_study("quickstart", [EIGHT])
    own, pythia = study.sweeps()
    assert own.recipes == tuple(study.recipes)
    assert pythia.recipes == ("untouched", "exact-dedup")
    assert pythia.proxy == study.proxy.model_copy(update={"family": "pythia"})
    assert pythia.target is None
    assert pythia.tokens_per_domain == own.tokens_per_domain == study.evaluation.tokens_per_domain


def test_another_way_to_say_a_size_replaces_the_first() -> None:
    override = "sweep.big.proxy={non_embedding_parameters: 400000, tokens_per_parameter: 2}"
    proxy = load_study("quickstart", [override]).sweeps()[1].proxy
    assert (proxy.num_layers, proxy.tokens) == (None, None)
    study = load_study("quickstart")
    model = proxy.model_spec(study.tokenizer)
    assert proxy.tokens_for(model) == 2 * count_parameters(build_model(model, 0))


def test_a_grid_has_every_combination_and_the_runs_own_setting() -> None:
    study = load_study(
        "quickstart", ["proxy.batch_sizes=[8, 16]", "proxy.weight_decays=[0.0, 0.1]"]
    )
    settings = study.proxy.settings(study.proxy)
    assert len(settings) == len(set(settings)) == 8
    assert study.proxy.main(3e-4) in settings
    assert settings[0] == Setting(3e-4, 8, 0.0)
    assert study.proxy.at(Setting(3e-4, 16, 0.0)).batch_size == 16


def test_larger_batches_are_tried_at_the_standard_rate_alone() -> None:
    study = load_study("quickstart", ["proxy.larger_batches=[32]"])
    plain = load_study("quickstart").proxy
    added = {*study.proxy.settings(study.proxy)} - {*plain.settings(plain)}
    assert added == {Setting(plain.standard_rate, 32, plain.weight_decay)}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sweep.x.proxy={widht: 3}", r"sweep\.x\.proxy\.widht: 3"),
        ("sweep.x.proxy={width: 65}", r"width 65 with num_heads 2, expected a width"),
        ("sweep.x.proxy={tokens: 10}", r"sweep\.x\.proxy\.tokens 10, expected at least one batch"),
        ("sweep.x.recipes=[exact-dedup, text-heavy]", r"expected the baseline 'untouched'"),
        ("sweep.x.recipes=[untouched, text]", r"'text', expected some of untouched"),
        ("sweep.x.target={family: opt}", r"target without tuning"),
        ("sweep.x.tokens_per_domain=0", r"sweep\.x\.tokens_per_domain: 0, expected greater"),
        ("proxy.tokens_per_parameter=2", r"both of tokens and tokens_per_parameter"),
        ("proxy={num_layers: 1, width: 16, num_heads: 1, learning_rates: [1e-3]}", r"neither"),
        ("proxy.batch_sizes=[8, 8]", r"batch_sizes \[8, 8\], expected each size once"),
        ("proxy.batch_sizes=[8, 1000]", r"at least one batch of 1000 x 128"),
        ("proxy={micro_batch_size: 4, batch_sizes: [6]}", r"."),
        ("proxy.larger_batches=[8]", r"larger_batches \[8\] with batch_size 8, expected sizes"),
        ("proxy.larger_batches=[1000]", r"at least one batch of 1000 x 128"),
        ("band={learning_rates: [1e-3, 1e-2], tokens: 2000}", r"band\.learning_rates"),
        ("budget.flops=0", r"budget\.flops: 0, expected greater than 0"),
        ("target.tuning={learning_rates: []}", r"target\.tuning\.learning_rates"),
    ],
)
def test_a_wrong_sweep_is_one_line(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_study("quickstart", [override])


def test_the_pages_examples_are_studies(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        path = tmp_path / "study.yaml"
        part = YAML(typ="safe").load(block)
        if "proxy" in part:
            part["proxy"]["tokens"] = None
        YAML().dump({"extends": "quickstart", **part}, path)
        load_study(str(path))


def test_the_shipped_sweep_has_the_papers_recipes_in_three_families() -> None:
    study = load_study("tiny-lr-23")
    roles = [recipe.role for recipe in study.recipes.values()]
    assert roles.count("candidate") == 23
    assert roles.count("bad-control") == 2
    own, *others = study.sweeps()
    assert len(own.recipes) == len(study.recipes)
    families = {sweep.proxy.family: sweep.recipes for sweep in others}
    assert families.keys() == {"pythia", "opt"}
    for recipes in families.values():
        assert sum(study.recipes[name].role == "candidate" for name in recipes) >= 8
    target = own.target
    assert target is not None
    assert target.tuning is not None
    assert len(target.tuning.learning_rates) >= 3
