"""Stage 2, next-sentence choice: what is the case after what has happened?"""

import numpy as np

from curricle.recipes.specs.spectrum import Difficulty
from curricle.recipes.spectrum.episode import Episode, Family, draw, query_about
from curricle.recipes.spectrum.words import FOODS, NAMES, OBJECTS, PLACES


def _going(random: np.random.Generator, difficulty: Difficulty) -> Episode:
    del difficulty
    (one, other), (here, there) = draw(random, NAMES, 2), draw(random, PLACES, 2)
    passage = f"{one} goes to the {here} . {other} goes to the {there} ."
    wrong = [f"{one} is in the {there}", f"{other} is in the {here}"]
    return _story(random, passage, f"{one} is in the {here}", wrong)


def _eating(random: np.random.Generator, difficulty: Difficulty) -> Episode:
    del difficulty
    (one, other), (this, that) = draw(random, NAMES, 2), draw(random, FOODS, 2)
    here, there = draw(random, PLACES, 2)
    passage = f"{one} takes {this} from the {here} . {other} takes {that} from the {there} ."
    wrong = [f"{one} eats {that}", f"{other} eats {this}"]
    return _story(random, passage, f"{one} eats {this}", wrong)


def _giving(random: np.random.Generator, difficulty: Difficulty) -> Episode:
    del difficulty
    (one, other), (this, that) = draw(random, NAMES, 2), draw(random, OBJECTS, 2)
    passage = f"{one} has a {this} and {other} has a {that} . {one} gives {other} the {this} ."
    wrong = [f"{one} has the {this}", f"{one} has the {that}"]
    return _story(random, passage, f"{other} has the {this}", wrong)


def _taking(random: np.random.Generator, difficulty: Difficulty) -> Episode:
    del difficulty
    (one, other), (this, that) = draw(random, NAMES, 2), draw(random, OBJECTS, 2)
    passage = f"{one} has a {this} and {other} has a {that} . {one} takes the {that} from {other} ."
    wrong = [f"{other} has the {that}", f"{other} has the {this}"]
    return _story(random, passage, f"{one} has the {that}", wrong)


def _story(random: np.random.Generator, passage: str, right: str, wrong: list[str]) -> Episode:
    return Episode(passage, (query_about(random, "now", right, wrong),), passage)


FAMILIES = (
    Family("going", _going),
    Family("eating", _eating),
    Family("giving", _giving),
    Family("taking", _taking, held_out=True),
)
