import re
import typing
from pathlib import Path

from ruamel.yaml import YAML

from curricle.recipes.loading import load_study
from curricle.recipes.specs.mix import Mix
from curricle.recipes.specs.recipe import OrderSpec, TokenizerSpec
from curricle.recipes.specs.sources import FilesSource, HuggingFaceSource
from curricle.recipes.specs.steps import Step

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")


def test_the_page_lists_every_step() -> None:
    models = typing.get_args(typing.get_args(Step)[0])
    names = {
        name for model in models for name in typing.get_args(model.model_fields["step"].annotation)
    }
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([\w-]+)`", row)} == names


def test_the_pages_examples_are_studies(tiny_study: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    parts = [YAML(typ="safe").load(block) for block in blocks]
    assert {key for part in parts for key in part} >= {"corpora", "tokenizer", "recipes", "extends"}
    for part in parts:
        extended = {"extends": str(tiny_study), "scoring": {"tokens": 100_000}}
        path = tmp_path / "study.yaml"
        YAML().dump(extended | part, path)
        load_study(str(path))


def test_the_page_names_every_reason_and_setting() -> None:
    for name in (*Mix.model_fields, *OrderSpec.model_fields, *TokenizerSpec.model_fields):
        assert f"{name}:" in PAGE or f"`{name}`" in PAGE, name
    for name in (*FilesSource.model_fields, *HuggingFaceSource.model_fields):
        assert f"{name}:" in PAGE, name
    for reason in ("null-text", "empty-text", "nul-byte", "lone-surrogate"):
        assert f"`{reason}`" in PAGE
