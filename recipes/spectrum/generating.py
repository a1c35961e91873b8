"""Documents and evaluation items out of the spectrum's generators.

Worlds are split by a hash of their content, as all documents are (`recipes/splitting.py`), so that
no item is about a world of the training text, whatever its seed and size.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from curricle.core.choice_items import ChoiceItem
from curricle.core.seeds import generator
from curricle.recipes.documents import Document
from curricle.recipes.specs.spectrum import Difficulty, SpectrumSource, StageName
from curricle.recipes.spectrum import people, problems, sentences, stories
from curricle.recipes.spectrum.episode import Episode, Family
from curricle.recipes.spectrum.words import vocabulary
from curricle.recipes.splitting import is_held_out

VERSION = 1
"""Raised when the same settings give other text."""

FAMILIES: Mapping[StageName, tuple[Family, ...]] = {
    "sentences": sentences.FAMILIES,
    "next-sentence": stories.FAMILIES,
    "cloze": people.CLOZE,
    "facts": people.FACTS,
    "multi-hop": people.MULTI_HOP,
    "problems": problems.FAMILIES,
}


def identity(source: SpectrumSource) -> dict[str, Any]:
    """What decides the text: the settings, the vocabulary and the generators' version."""
    return {**source.model_dump(mode="json"), "version": VERSION, "words": list(vocabulary())}


def read(source: SpectrumSource) -> Iterator[Document]:
    """Each stage's documents, its families in turn, up to the number of tokens asked for."""
    for stage in source.stages:
        families = [family for family in FAMILIES[stage] if not family.held_out]
        tokens, number = 0, 0
        while tokens < source.tokens_per_stage:
            family = families[number % len(families)]
            episode = _episode(source.seed, "train", stage, family, number, source.difficulty)
            name = f"{stage}/{family.name}/{number}"
            yield Document(name, episode.text, stage, name, episode.world)
            # The token that ends a document counts, as in the dataset.
            tokens += len(episode.text.split()) + 1
            number += 1


def items(
    source: SpectrumSource, per_family: int, validation_fraction: float, seed: int
) -> Iterator[ChoiceItem]:
    """The evaluation set: `per_family` items of every family of every stage, held-out ones too.

    `validation_fraction` and `seed` are the study's: an item's world falls to the held-out side.
    """
    held_out = functools.partial(is_held_out, validation_fraction=validation_fraction, seed=seed)
    for stage in source.stages:
        for family in FAMILIES[stage]:
            found, number = 0, 0
            while found < per_family:
                episode = _episode(source.seed, "items", stage, family, number, source.difficulty)
                number += 1
                if held_out(episode.world):
                    yield _item(stage, family, found, episode)
                    found += 1


def _episode(
    seed: int, use: str, stage: str, family: Family, number: int, difficulty: Difficulty
) -> Episode:
    random = generator(seed, "spectrum", use, stage, family.name, number)
    return family.make(random, difficulty)


def _item(stage: str, family: Family, number: int, episode: Episode) -> ChoiceItem:
    query = episode.queries[0]
    return ChoiceItem(
        stage=stage,
        family=family.name,
        held_out=family.held_out,
        number=number,
        prompt=episode.prompt,
        choices=query.choices,
        answer=query.answer,
    )
