from pathlib import Path

import pytest

from curricle.core.errors import InputError
from curricle.recipes.loading import load_study


def write(folder: Path, name: str, text: str) -> str:
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return str(path)


def test_a_study_that_extends_another_differs_in_what_it_names(tmp_path: Path) -> None:
    text = "extends: quickstart\nname: mine\nproxy:\n  width: 32\n  learning_rates: [1e-5]\n"
    mine, base = load_study(write(tmp_path, "mine", text)), load_study("quickstart")
    proxy = base.proxy.model_copy(update={"width": 32, "learning_rates": (1e-5,)})
    assert mine == base.model_copy(update={"name": "mine", "proxy": proxy})


def test_recipes_are_added_and_lists_are_replaced(tmp_path: Path) -> None:
    text = (
        "extends: quickstart\nrecipes:\n  exact-dedup: {steps: [{step: c4}]}\n  new: {mix: {a: 1}}"
    )
    recipes = load_study(write(tmp_path, "mine", text)).recipes
    assert list(recipes) == [*load_study("quickstart").recipes, "new"]
    assert [step.step for step in recipes["exact-dedup"].steps] == ["c4"]


def test_studies_extend_one_another_in_a_chain_from_their_own_folder(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    write(tmp_path, "first", "extends: quickstart\nseed: 1\nname: first")
    write(tmp_path / "below", "second", "extends: ../first.yaml\nproxy: {seeds: 4}")
    last = load_study(write(tmp_path / "below", "last", "extends: second.yaml\nseed: 3"))
    assert (last.name, last.seed, last.proxy.seeds) == ("first", 3, 4)


def test_overrides_come_last(tmp_path: Path) -> None:
    path = write(tmp_path, "mine", "extends: quickstart\nseed: 1")
    assert load_study(path, ["seed=2"]).seed == 2


def test_a_mistake_names_the_file_it_stands_in(tmp_path: Path) -> None:
    write(tmp_path, "first", "extends: quickstart\n\nproxy: {widht: 3}\ntarget: {width: x}")
    mine = write(tmp_path, "mine", "extends: first.yaml\nproxy:\n  seeds: 4\n")
    with pytest.raises(InputError, match=r"first\.yaml:3: proxy\.widht: unknown key"):
        load_study(mine)
    write(tmp_path, "first", "extends: quickstart\n\ntarget: {width: x}")
    with pytest.raises(InputError, match=r"first\.yaml:3: target\.width: 'x'"):
        load_study(mine)
    mine = write(tmp_path, "mine", "extends: first.yaml\n\n\ntarget: {width: -3}")
    with pytest.raises(InputError, match=r"mine\.yaml:4: target\.width: -3"):
        load_study(mine)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: mine.yaml", r"mine\.yaml: extends .*mine\.yaml, which extends it in turn"),
        ("extends: other.yaml", r"other\.yaml: extends .*mine\.yaml, which extends it in turn"),
        (
            "\nextends: quikstart",
            r"mine\.yaml:2: extends: study 'quikstart': no such file, .*mean quickstart",
        ),
        ("extends: [quickstart]", r"mine\.yaml:1: extends: \['quickstart'\], expected a study's"),
        ("extend: quickstart", r"mine\.yaml:1: extend: unknown key, .*did you mean extends"),
    ],
)
def test_what_cant_be_extended_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "other", "extends: mine.yaml")
    with pytest.raises(InputError, match=message) as caught:
        load_study(write(tmp_path, "mine", text))
    assert "\n" not in str(caught.value)
