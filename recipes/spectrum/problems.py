"""Stage 6, multi-step problems: program traces, word problems, sums.

The wrong choices are the answers of other problems of the same kind, so that no number is likelier
to be right than another by how often it occurs.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from curricle.recipes.specs.spectrum import Difficulty
from curricle.recipes.spectrum.episode import (
    Episode,
    Family,
    between,
    draw,
    pick,
    query_about,
)
from curricle.recipes.spectrum.words import FOODS, NAMES, VARIABLES

_CHOICES = 4
_FIRST = 9


class Problem(NamedTuple):
    """What is given, what is asked, and the number that is right."""

    given: str
    asked: str
    answer: int


Make = Callable[[np.random.Generator, Difficulty], Problem]


def _change(random: np.random.Generator, value: int, largest: int) -> int:
    """A number from -9 to 9, not 0, that keeps the value between 0 and `largest`."""
    open_to = [c for c in range(-_FIRST, _FIRST + 1) if c and 0 <= value + c <= largest]
    return open_to[int(random.integers(len(open_to)))]


def _signed(change: int) -> str:
    return f"{'+' if change > 0 else '-'} {abs(change)}"


def _trace(random: np.random.Generator, difficulty: Difficulty) -> Problem:
    """Assignments: `x = 3 . y = x + 4 . print y : 7`."""
    steps = between(random, difficulty.steps)
    names = VARIABLES[: steps + 1]
    values = [between(random, (0, _FIRST))]
    lines = [f"{names[0]} = {values[0]} ."]
    for before, name in itertools.pairwise(names):
        change = _change(random, values[-1], difficulty.largest)
        lines.append(f"{name} = {before} {_signed(change)} .")
        values.append(values[-1] + change)
    return Problem(" ".join(lines), f"print {names[-1]} :", values[-1])


def _two_variables(random: np.random.Generator, difficulty: Difficulty) -> Problem:
    """Both operands are variables: `x = 3 . y = 4 . z = x + y . print z : 7`."""
    first, second = (between(random, (0, min(_FIRST, difficulty.largest // 2))) for _ in "xy")
    low, high = sorted((first, second))
    if random.integers(2):
        return Problem(f"x = {low} . y = {high} . z = x + y .", "print z :", low + high)
    return Problem(f"x = {high} . y = {low} . z = x - y .", "print z :", high - low)


def _story(random: np.random.Generator, difficulty: Difficulty) -> Problem:
    """Gains and gifts: `ann has 3 plums . ann finds 4 plums . … answer : 7`."""
    (who, other), what = draw(random, NAMES, 2), pick(random, FOODS)
    value = between(random, (0, _FIRST))
    lines = [f"{who} has {value} {what} ."]
    for _ in range(between(random, difficulty.steps)):
        change = _change(random, value, difficulty.largest)
        verb = f"{who} finds" if change > 0 else f"{who} gives {other}"
        lines.append(f"{verb} {abs(change)} {what} .")
        value += change
    asked = f"question : how many {what} does {who} have ? answer :"
    return Problem(" ".join(lines), asked, value)


def _sum(random: np.random.Generator, difficulty: Difficulty) -> Problem:
    """Numbers added and taken away: `3 + 4 - 2 = 5`."""
    value = between(random, (0, _FIRST))
    terms = [str(value)]
    for _ in range(between(random, difficulty.steps)):
        change = _change(random, value, difficulty.largest)
        terms.append(_signed(change))
        value += change
    return Problem(" ".join(terms), "=", value)


def _family(name: str, problem: Make, *, held_out: bool = False) -> Family:
    def make(random: np.random.Generator, difficulty: Difficulty) -> Episode:
        mine = problem(random, difficulty)
        answers = {mine.answer}
        while len(answers) < _CHOICES:
            answers.add(problem(random, difficulty).answer)
        others = [str(answer) for answer in sorted(answers - {mine.answer})]
        query = query_about(random, mine.asked, str(mine.answer), others)
        return Episode(mine.given, (query,), mine.given)

    return Family(name, make, held_out)


FAMILIES = (
    _family("trace", _trace),
    _family("story", _story),
    _family("sum", _sum),
    _family("two-variables", _two_variables, held_out=True),
)
