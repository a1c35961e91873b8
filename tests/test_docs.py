"""The documents name only what exists."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from curricle.recipes.specs.recipe import Recipe
from curricle.recipes.study import Study

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
METRICS = ("train/", "validation/", "multiple_choice/", "sharpness/")
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_named_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for name in re.findall(r"`([\w./-]+/[\w./-]*)`", text):
        if not name.startswith(METRICS):
            assert (ROOT / name).exists(), f"{document.name} names {name}"
    for link in re.findall(r"\]\(([\w./-]+)\)", text):
        assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_every_command_of_the_readme_is_one() -> None:
    commands = set(re.findall(r"^curricle (\w+)", README, re.MULTILINE))
    program = Path(sys.executable).parent / "curricle"
    listed = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    for command in commands:
        assert re.search(rf"^  {command} ", listed, re.MULTILINE), command


def test_every_make_target_named_is_one() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for target in set(re.findall(r"^make ([\w-]+)", text, re.MULTILINE)):
        assert f"\n{target}:" in makefile, target


def test_the_readmes_yaml_is_valid() -> None:
    found = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    blocks = [YAML(typ="safe").load(block) for block in found]
    assert [list(block) for block in blocks] == [["corpora"], ["recipes"]]
    for recipe in blocks[1]["recipes"].values():
        Recipe.model_validate_json(json.dumps(recipe))
    assert set(blocks[0]) | set(blocks[1]) <= set(Study.model_fields)
