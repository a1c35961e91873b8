from collections import Counter
from pathlib import Path

import pytest

from curricle.core.errors import InputError
from curricle.recipes.loading import load_any, load_study
from curricle.recipes.study_files import catalog_names

QUICKSTART = Path(__file__).parents[2] / "recipes" / "catalog" / "quickstart.yaml"


@pytest.mark.parametrize("name", catalog_names())
def test_every_shipped_study_is_valid(name: str) -> None:
    assert load_any(name).name == name


def test_a_file_and_its_name_are_the_same_study() -> None:
    assert load_study(str(QUICKSTART)) == load_study("quickstart")


def test_the_quickstart_covers_three_dimensions_and_its_controls() -> None:
    recipes = load_study("quickstart").recipes
    dimensions = {recipe.dimension for recipe in recipes.values()}
    assert {"deduplication", "filtering", "mixing", "ordering", "combination"} <= dimensions
    assert {recipe.role for recipe in recipes.values()} == {
        "candidate",
        "bad-control",
        "subtle-control",
    }


def test_the_seven_domains_cover_four_dimensions_and_controls() -> None:
    recipes = load_study("seven-domains").recipes
    candidates = [recipe for recipe in recipes.values() if recipe.role == "candidate"]
    assert Counter(recipe.dimension for recipe in candidates) == {
        "mixing": 10,
        "corpora": 3,
        "filtering": 6,
        "deduplication": 4,
    }
    assert sum(recipe.role == "bad-control" for recipe in recipes.values()) == 2
    assert len({str(recipe.dataset_spec) for recipe in recipes.values()}) == len(recipes)


def test_overrides_are_yaml() -> None:
    study = load_study("quickstart", ["proxy.learning_rates=[1e-5,1e-6]", "seed=3"])
    assert study.proxy.learning_rates == (1e-5, 1e-6)
    assert study.proxy.tiny_rate == 1e-6
    assert study.seed == 3
    assert load_study("quickstart", ["tracking.mlflow=http://127.0.0.1:5000"]).tracking.mlflow


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("proxy.tokns=3", r"--set proxy\.tokns: unknown key, .*did you mean tokens\?"),
        ("proxy.learning_rates=[-1]", r"proxy\.learning_rates\.0: -1, expected greater than 0"),
        ("proxy.seeds=2", r"proxy\.seeds: 2, expected greater than or equal to 3"),
        ("target.width=130", r"target: width 130 with num_heads 4, expected a width that is a"),
        ("target=3", r"target: 3, expected"),
        ("seed=yes", r"seed: 'yes', expected"),
        ("scoring.early=0.9", r"early 0\.9 with late .*expected an early checkpoint before"),
        ("proxy.tokens=10", r"proxy\.tokens 10, expected at least one batch"),
        ("recipes.x.steps=[{step: minhas}]", r"step is 'minhas', .*did you mean minhash-dedup"),
        ("recipes.x.steps=[{step: minhash-dedup, treshold: 1}]", r"did you mean threshold\?"),
        ("recipes.x.steps=[{}]", r"expected a key step, fix: add step:"),
        ("recipes.x.order={by: unigram-entropy, direction: up}", r"'up', expected 'ascending'"),
        (
            "recipes.x={steps: [{step: exact-dedup}], mix: {a: 1}, order: {by: unigram-entropy}}",
            r"recipe 'x' has an order and no twin without one",
        ),
        ("recipes.untouched.role=bad-control", r"first recipe 'untouched', expected a candidate"),
        ("corpora.environment.source=hub", r"source is 'hub', expected one of"),
        ("corpora.mine={source: files, path: x}", r"domain and domain_column both or neither"),
        ("scoring.tokens=100", r": 0 steps of 1024 tokens, expected enough steps"),
        ("scoring.tokens=5200", r": 5 steps of 1024 tokens, expected enough steps"),
        ("curricula={random: {}}", r"an arm called 'random' like another one"),
        ("curricula={a: {}, anti-a: {}}", r"an arm called 'anti-a' like another one"),
        ("proxy.warmup_fraction=0.001", r"proxy: warmup_fraction 0\.001 in a run of \d+ steps"),
        ("target.averaging={method: last, every: 999}", r"target: 6 checkpoints every 999 steps"),
        (
            "target.schedules.late={schedule: wsd, averaging: {method: last, every: 999}}",
            r"target\.schedules\.late: 6 checkpoints every 999 steps",
        ),
        (
            "sweep.slow={proxy: {warmup_fraction: 0.001}}",
            r"sweep\.slow\.proxy: warmup_fraction 0\.001 in a run of \d+ steps",
        ),
        (
            "target.tuning={learning_rates: [1], batch_sizes: [999999]}",
            r"target\.tokens \d+, expected at least one batch of 999999 x 128",
        ),
        ("proxy.validate_every=1000", r"proxy\.validate_every 1000, expected at least a step of"),
        ("target.validate_every=99999999", r"target\.validate_every 99999999, .* less than the"),
        ("hardware.devices=3", r"proxy: batch_size 8, .* 3 devices, expected a batch of whole"),
        ("hardware.nodes=3", r"proxy: batch_size 8, .* 3 devices, expected a batch of whole"),
        ("evaluation.sharpness.points=9999", r"points 9999, expected at most the target's \d+ st"),
        ("proxy.learning_rates=[1e-3,1e-3]", r"expected each rate once"),
        ("target.confirm=99", r"target\.confirm 99 with 9 recipes in random order"),
        ("evaluation={tokens_per_domain: 9, multiple_choice: null, mmlu: x}", r"mmlu given while"),
        ("evaluation.stride=129", r"stride 129 with .*sequence_length 128, expected a stride of"),
        ("evaluation.stride=0", r"evaluation\.stride: 0, expected greater than 0"),
        ("evaluation.sharpness.trace_samples=1", r"trace_samples 1, expected at least 2"),
        ("evaluation.sharpness={points: 2, every: 9}", r"points 2 and every 9, expected one of"),
        ("evaluation.sharpness.points=0", r"points: 0, expected greater than 0"),
        ("tracking.mlflow=http://user:secret@host", r"an address with a user name"),
        ("corpora.x={source: files, path: x, domain: average}", r"domain 'average'"),
        ("recipes.x.steps=[{step: length}]", r"recipes\.x\.steps\.0: a filter without limits"),
        ("recipes.x.steps=[{step: bucket, by: mtdl}]", r"steps\.0\.by: statistic 'mtdl', exp"),
        (
            "recipes.x.steps=[{step: bucket, by: {scores: a, colum: b}}]",
            r"steps\.0\.by\.colum: unknown key, expected one of .*, fix: did you mean column",
        ),
        ("recipes.x.steps=[{step: bucket, by: {scores: a}}]", r"by\.column: missing, expected"),
        ("recipes.x.steps=[{step: bucket, by: {god: []}}]", r"by\.god: .*did you mean good"),
        ("nonsense", r"--set nonsense, expected KEY\.PATH=VALUE"),
        ("name.x=1", r"--set name\.x=1: name is 'quickstart', expected a key with keys below"),
        ("seed=[", r"expected a YAML value after ="),
    ],
)
def test_each_mistake_is_one_line_that_names_the_key(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_study("quickstart", [override])
    assert "\n" not in str(caught.value)


def test_the_line_of_a_mistake_in_the_file_is_named(tmp_path: Path) -> None:
    text = QUICKSTART.read_text().replace("  num_layers: 2", "  num_layer: 2")
    line = 1 + text.splitlines().index("  num_layer: 2")
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"mine\.yaml:{line}: proxy\.num_layer: unknown key"):
        load_study(str(path))


def test_all_missing_keys_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nstore: here\n")
    with pytest.raises(InputError, match=r"fix: add corpora:, recipes:, proxy:, target:"):
        load_study(str(path))


def test_a_name_given_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    text = QUICKSTART.read_text().replace("  text-heavy:", "  exact-dedup:")
    line = 1 + [n for n, row in enumerate(text.splitlines()) if row == "  exact-dedup:"][1]
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"mine\.yaml:{line}: 'exact-dedup' is given twice"):
        load_study(str(path))


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "name: [\n", "!!python/object:os.system x"])
def test_what_is_no_study_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(InputError):
        load_study(str(path))


def test_an_unknown_study_suggests_the_shipped_ones() -> None:
    with pytest.raises(InputError, match="did you mean quickstart"):
        load_study("quikstart")
