"""Steps that turn the study's sources into text: corpus, tokenizer, questions."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import Tokenizer

from curricle.core.errors import InputError
from curricle.core.plain import fingerprint
from curricle.core.questions import read_questions, write_questions
from curricle.recipes.corpus import build_corpus, corpus_identity
from curricle.recipes.given_tokenizer import given_tokenizer
from curricle.recipes.questions import build_questions
from curricle.recipes.specs.recipe import TokenizerSpec
from curricle.recipes.specs.sources import Source
from curricle.recipes.tokenizing import build_tokenizer, store_tokenizer
from curricle.tasks.session import Session
from curricle.tasks.step import Step


@dataclass(frozen=True)
class CorpusStep(Step):
    """Read all sources, set validation documents aside, drop their near-copies from training."""

    kind: ClassVar[str] = "corpus"
    verb: ClassVar[str] = "read corpus"
    version: ClassVar[int] = 2
    corpora: Mapping[str, Source]
    validation_fraction: float
    seed: int

    @property
    def name(self) -> str:
        """The sources' names."""
        return "+".join(self.corpora)

    @functools.cached_property
    def spec(self) -> Mapping[str, Any]:
        """What the sources hold now, and how it is split."""
        return {
            "content": corpus_identity(self.corpora),
            "validation_fraction": self.validation_fraction,
            "seed": self.seed,
        }

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write train and validation documents."""
        del inputs
        return build_corpus(
            self.corpora, self.validation_fraction, self.seed, folder, session.engine
        )


@dataclass(frozen=True)
class TokenizerStep(Step):
    """Train the study's one tokenizer on the base corpus' training documents."""

    kind: ClassVar[str] = "tokenizer"
    verb: ClassVar[str] = "train tokenizer"
    tokenizer: TokenizerSpec
    corpus: CorpusStep

    @property
    def name(self) -> str:
        """Algorithm and vocabulary size."""
        return f"{self.tokenizer.algorithm}-{self.tokenizer.vocabulary_size}"

    @property
    def spec(self) -> Mapping[str, Any]:
        """Algorithm and vocabulary; not the window length."""
        return self.tokenizer.model_dump(mode="json", include={"algorithm", "vocabulary_size"})

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The corpus."""
        return {"corpus": self.corpus}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write `tokenizer.json`."""
        del session
        return build_tokenizer(self.tokenizer, inputs["corpus"] / "train.parquet", folder)


@dataclass(frozen=True)
class GivenTokenizerStep(Step):
    """A tokenizer that the study names, kept with it."""

    kind: ClassVar[str] = "tokenizer"
    verb: ClassVar[str] = "read tokenizer"
    tokenizer: TokenizerSpec

    @property
    def name(self) -> str:
        """Whose format it has."""
        return self.tokenizer.algorithm

    @functools.cached_property
    def loaded(self) -> Tokenizer:
        """The tokenizer itself."""
        return given_tokenizer(self.tokenizer)

    @functools.cached_property
    def spec(self) -> Mapping[str, Any]:
        """The tokenizer's content, not its place."""
        return {"content": fingerprint(self.loaded.to_str())}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write `tokenizer.json`."""
        del session, inputs
        return store_tokenizer(self.loaded, folder)


@dataclass(frozen=True)
class DocstringQuestionsStep(Step):
    """Multiple-choice questions from docstrings of held-out files."""

    kind: ClassVar[str] = "questions"
    verb: ClassVar[str] = "write questions"
    count: int
    seed: int
    corpus: CorpusStep

    @property
    def name(self) -> str:
        """What they are made of."""
        return "docstrings"

    @property
    def spec(self) -> Mapping[str, Any]:
        """How many questions, and which seed draws them."""
        return {"questions": self.count, "seed": self.seed}

    @property
    def inputs(self) -> Mapping[str, Step]:
        """The corpus."""
        return {"corpus": self.corpus}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Write the questions in MMLU's layout."""
        del session
        facts = build_questions(inputs["corpus"], self.count, self.seed, folder)
        if not facts["test"]:
            raise InputError(
                f"no multiple-choice questions: {facts['note']}",
                expected="packages with enough documented functions",
                fix="name more packages, or set evaluation.multiple_choice to null",
            )
        return facts


@dataclass(frozen=True)
class GivenQuestionsStep(Step):
    """A multiple-choice set that the user names, such as the real MMLU, kept with the study."""

    kind: ClassVar[str] = "questions"
    verb: ClassVar[str] = "read questions"
    path: str

    @property
    def name(self) -> str:
        """The same for every set: what it holds tells sets apart."""
        return "given"

    @functools.cached_property
    def spec(self) -> Mapping[str, Any]:
        """The questions themselves, not their place."""
        return {"content": fingerprint(list(read_questions(Path(self.path))))}

    def build(
        self, session: Session, inputs: Mapping[str, Path], folder: Path
    ) -> Mapping[str, Any]:
        """Copy the questions into the store in MMLU's layout."""
        del session, inputs
        questions = read_questions(Path(self.path))
        write_questions(folder, questions)
        return {"questions": sum(question.split == "test" for question in questions)}
