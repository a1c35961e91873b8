"""The step that prepares a token dataset: a recipe applied to one split of the corpus."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from curricle.recipes.dataset import build_dataset
from curricle.recipes.specs.recipe import Recipe
from curricle.recipes.token_library import build_library
from curricle.tasks.corpus import CorpusStep
from curricle.tasks.documents import DocumentsStep, accounts_of, table_of
from curricle.tasks.session import Session
from curricle.tasks.step import Step


@dataclass(frozen=True)
class TokensStep(Step):
    """Tokenize the corpus' training documents, once for all recipes that have their texts."""

    kind: ClassVar[str] = "tokens"
    verb: ClassVar[str] = "tokenize corpus"
    corpus: CorpusStep
    tokenizer: Step

    @property
    def name(self) -> str:
        """The tokenizer's name."""
        return self.tokenizer.name

    @property
    def spec(self) -> Mapping[str, Any]:
        """Nothing beyond the inputs."""
        return {}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """Documents and tokenizer."""
        return {"documents": self.corpus, "tokenizer": self.tokenizer}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write the library."""
        documents = table_of(self.corpus, inputs["documents"])
        return build_library(documents, inputs["tokenizer"], folder, session.engine)


@dataclass(frozen=True)
class DatasetStep(Step):
    """Tokenize, mix and pack what a recipe's steps leave of one split of the corpus.

    Identity is what the recipe does to the documents, not in which order they are read: recipes
    that differ in order alone share a dataset.
    """

    kind: ClassVar[str] = "dataset"
    verb: ClassVar[str] = "prepare recipe"
    version: ClassVar[int] = 3
    recipe_name: str
    recipe: Recipe
    split: Literal["train", "validation"]
    corpus: CorpusStep
    tokenizer: Step
    seed: int

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe_name

    @property
    def spec(self) -> Mapping[str, Any]:
        """What is done after the steps, split and seed; the documents know their steps."""
        packing = {key: value for key, value in self.recipe.dataset_spec.items() if key != "steps"}
        return {**packing, "split": self.split, "seed": self.seed}

    @functools.cached_property
    def documents(self) -> Step:
        """The last of the recipe's steps, or the corpus."""
        documents: Step = self.corpus
        for step in self.recipe.steps:
            documents = DocumentsStep(step, documents, self.seed)
        return documents

    @functools.cached_property
    def inputs(self) -> Mapping[str, Step]:
        """Documents and tokenizer; and tokens of the corpus, most of whose texts recipes leave."""
        inputs: dict[str, Step] = {"documents": self.documents, "tokenizer": self.tokenizer}
        if self.split == "train":
            inputs["library"] = TokensStep(self.corpus, self.tokenizer)
        return inputs

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write shards, document table and manifest."""
        return build_dataset(
            self.recipe,
            table_of(self.documents, inputs["documents"], self.split),
            accounts_of(self.documents, inputs["documents"]),
            inputs["tokenizer"],
            self.seed,
            folder,
            inputs.get("library"),
            session.engine,
        )
