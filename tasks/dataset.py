"""The step that prepares a token dataset: a recipe applied to one split of the corpus."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from curricle.recipes.dataset import build_dataset
from curricle.recipes.specs.recipe import Recipe
from curricle.tasks.corpus import CorpusStep, TokenizerStep
from curricle.tasks.session import Session
from curricle.tasks.step import Step


@dataclass(frozen=True)
class DatasetStep(Step):
    """Apply a recipe to one split of the corpus, tokenize, mix and pack.

    Identity is what the recipe does to the documents, not in which order they are read: recipes
    that differ in order alone share a dataset.
    """

    kind: ClassVar[str] = "dataset"
    verb: ClassVar[str] = "prepare recipe"
    recipe_name: str
    recipe: Recipe
    split: Literal["train", "validation"]
    corpus: CorpusStep
    tokenizer: TokenizerStep
    seed: int

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe_name

    @property
    def spec(self) -> Mapping[str, Any]:
        """Steps, mix, split and seed."""
        return {**self.recipe.dataset_spec, "split": self.split, "seed": self.seed}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """Corpus and tokenizer."""
        return {"corpus": self.corpus, "tokenizer": self.tokenizer}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write shards, document table and manifest."""
        del session
        documents = inputs["corpus"] / f"{self.split}.parquet"
        return build_dataset(self.recipe, documents, inputs["tokenizer"], self.seed, folder)
