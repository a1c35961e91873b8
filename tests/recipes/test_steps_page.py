import json
import re
import typing
from pathlib import Path

from ruamel.yaml import YAML

from curricle.recipes.specs.recipe import Recipe
from curricle.recipes.specs.steps import Step

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")


def test_the_page_lists_every_step() -> None:
    models = typing.get_args(typing.get_args(Step)[0])
    names = {
        name for model in models for name in typing.get_args(model.model_fields["step"].annotation)
    }
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([\w-]+)`", row)} == names


def test_the_pages_example_is_valid() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    for recipe in YAML(typ="safe").load(example)["recipes"].values():
        Recipe.model_validate_json(json.dumps(recipe))
