"""Episodes: a passage about a small world, and what is asked about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from curricle.recipes.specs.spectrum import Difficulty


@dataclass(frozen=True)
class Query:
    """What follows a passage: `prompt`, then one of `choices`, of which `answer` is right.

    `rest` follows the answer in training text. All are words between single spaces.
    """

    prompt: str
    choices: tuple[str, ...]
    answer: int
    rest: str = "."

    @property
    def text(self) -> str:
        """As it stands in training text."""
        return f"{self.prompt} {self.choices[self.answer]} {self.rest}"


@dataclass(frozen=True)
class Episode:
    """A passage (may be empty) and its queries, one document of training text.

    `world` is the content that a model must not have seen when it is evaluated: episodes with the
    same one fall to the same side of the split.
    """

    passage: str
    queries: tuple[Query, ...]
    world: str

    @property
    def text(self) -> str:
        """The document."""
        return " ".join(filter(None, (self.passage, *(query.text for query in self.queries))))

    @property
    def prompt(self) -> str:
        """What a model reads before it chooses among the first query's choices."""
        return f"{self.passage} {self.queries[0].prompt}".strip()


@dataclass(frozen=True)
class Family:
    """One kind of episode; `held_out` families are never trained on."""

    name: str
    make: Callable[[np.random.Generator, Difficulty], Episode]
    held_out: bool = False


def draw(random: np.random.Generator, words: Sequence[str], count: int) -> list[str]:
    """`count` different words."""
    return [words[index] for index in random.choice(len(words), count, replace=False)]


def pick(random: np.random.Generator, words: Sequence[str]) -> str:
    """One word."""
    return words[int(random.integers(len(words)))]


def between(random: np.random.Generator, ends: tuple[int, int]) -> int:
    """A whole number between two ends, both included."""
    return int(random.integers(ends[0], ends[1] + 1))


def shuffled(random: np.random.Generator, items: Sequence[str]) -> list[str]:
    """The items in random order."""
    return [items[index] for index in random.permutation(len(items))]


def query_about(
    random: np.random.Generator, prompt: str, answer: str, others: Sequence[str]
) -> Query:
    """A query whose choices are the answer and `others`, in random order."""
    choices = tuple(shuffled(random, [answer, *others]))
    return Query(prompt, choices, choices.index(answer))
