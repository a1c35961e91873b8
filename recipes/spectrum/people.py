"""Stages 3 to 5: cloze, questions on facts, and questions over chains of facts.

A passage states a property of each of some people, so that every choice stands in it and is as
likely as the others wherever one looks at the words alone.
"""

from collections.abc import Callable, Sequence

import numpy as np

from curricle.recipes.specs.spectrum import Difficulty
from curricle.recipes.spectrum.episode import (
    Episode,
    Family,
    Query,
    between,
    draw,
    pick,
    query_about,
    shuffled,
)
from curricle.recipes.spectrum.words import (
    CITIES,
    COLOURS,
    FOODS,
    JOBS,
    NAMES,
    OBJECTS,
    PLACES,
    RELATIONS,
)

_ASKED = 2

# A property by name: its values, the sentence that states it, the question about it.
PROPERTIES: dict[str, tuple[Sequence[str], str, str]] = {
    "home": (CITIES, "{} lives in {} .", "question : where does {} live ? answer :"),
    "work": (JOBS, "{} is a {} .", "question : what work does {} do ? answer :"),
    "food": (FOODS, "{} eats {} .", "question : what does {} eat ? answer :"),
}

Ask = Callable[[np.random.Generator, Difficulty], Episode]


def _asked(
    random: np.random.Generator,
    stated: Sequence[str],
    prompts: Sequence[str],
    answers: Sequence[str],
    choices: Sequence[str],
) -> Episode:
    """An episode that asks some of the `prompts`, each with its answer among all `choices`."""
    passage = " ".join(shuffled(random, stated))
    chosen = random.choice(len(prompts), min(_ASKED, len(prompts)), replace=False)
    queries: list[Query] = []
    for index in chosen:
        others = [choice for choice in choices if choice != answers[index]]
        queries.append(query_about(random, prompts[index], answers[index], others))
    return Episode(passage, tuple(queries), " ".join(sorted(stated)))


def _cloze(hidden: str) -> Ask:
    """A sentence of the passage again, with its name, colour, object or place left out."""

    def make(random: np.random.Generator, difficulty: Difficulty) -> Episode:
        count = between(random, difficulty.people)
        slots = {
            "name": draw(random, NAMES, count),
            "colour": draw(random, COLOURS, count),
            "object": draw(random, OBJECTS, count),
            "place": draw(random, PLACES, count),
        }
        rows = list(zip(*slots.values(), strict=True))
        stated = ["{} has a {} {} in the {} .".format(*row) for row in rows]
        place = list(slots).index(hidden)
        left_out = [[*row[:place], "_", *row[place + 1 :]] for row in rows]
        prompts = ["blank : {} has a {} {} in the {} . fill :".format(*row) for row in left_out]
        return _asked(random, stated, prompts, slots[hidden], slots[hidden])

    return make


def _fact(name: str) -> Ask:
    """Property `name` of one of some people, among sentences on another property of theirs."""

    def make(random: np.random.Generator, difficulty: Difficulty) -> Episode:
        values, statement, question = PROPERTIES[name]
        people = draw(random, NAMES, between(random, difficulty.people))
        found = draw(random, values, len(people))
        stated = [*map(statement.format, people, found), *_beside(random, people, name)]
        return _asked(random, stated, list(map(question.format, people)), found, found)

    return make


def _who(name: str) -> Ask:
    """The question the other way round: who lives there?"""

    def make(random: np.random.Generator, difficulty: Difficulty) -> Episode:
        values, statement, _ = PROPERTIES[name]
        people = draw(random, NAMES, between(random, difficulty.people))
        found = draw(random, values, len(people))
        stated = [*map(statement.format, people, found), *_beside(random, people, name)]
        reversed_ = [statement.format("who", value).removesuffix(" .") for value in found]
        prompts = [f"question : {text} ? answer :" for text in reversed_]
        return _asked(random, stated, prompts, people, people)

    return make


def _beside(random: np.random.Generator, people: Sequence[str], asked: str) -> list[str]:
    """Sentences on one other property of the people."""
    other = pick(random, [name for name in PROPERTIES if name != asked])
    values, statement, _ = PROPERTIES[other]
    return list(map(statement.format, people, draw(random, values, len(people))))


def _chain(relation: str, name: str) -> Ask:
    """Property `name` of the `relation` of somebody (of somebody's relation, with more hops)."""

    def make(random: np.random.Generator, difficulty: Difficulty) -> Episode:
        values, statement, question = PROPERTIES[name]
        people = draw(random, NAMES, between(random, difficulty.people))
        found = draw(random, values, len(people))
        hops = between(random, difficulty.hops) - 1
        chain = [relation, *(pick(random, RELATIONS) for _ in range(hops - 1))]
        following = {step: _cycle(random, len(people)) for step in dict.fromkeys(chain)}
        stated = list(map(statement.format, people, found))
        for step, after in following.items():
            stated += [f"the {step} of {people[i]} is {people[after[i]]} ." for i in after]
        prompts, answers = [], []
        for start in range(len(people)):
            end = start
            for step in reversed(chain):
                end = following[step][end]
            whom = " ".join(f"the {step} of" for step in chain) + f" {people[start]}"
            prompts.append(question.format(whom))
            answers.append(found[end])
        return _asked(random, stated, prompts, answers, found)

    return make


def _cycle(random: np.random.Generator, count: int) -> dict[int, int]:
    """Everybody's successor in a random ring: nobody is their own friend."""
    ring = [int(place) for place in random.permutation(count)]
    return dict(zip(ring, [*ring[1:], ring[0]], strict=True))


CLOZE = (
    Family("colour", _cloze("colour")),
    Family("object", _cloze("object")),
    Family("place", _cloze("place")),
    Family("name", _cloze("name"), held_out=True),
)
FACTS = (
    *(Family(name, _fact(name)) for name in PROPERTIES),
    Family("who-works", _who("work")),
    Family("who-lives", _who("home"), held_out=True),
)
MULTI_HOP = (
    Family("friend-home", _chain("friend", "home")),
    Family("friend-food", _chain("friend", "food")),
    Family("boss-home", _chain("boss", "home")),
    Family("boss-work", _chain("boss", "work")),
    Family("boss-food", _chain("boss", "food"), held_out=True),
)
