"""Stage 1, token prediction on simple sentences: does the verb agree with its subject?"""

from collections.abc import Callable

import numpy as np

from curricle.recipes.specs.spectrum import Difficulty
from curricle.recipes.spectrum.episode import Episode, Family, Query, pick, shuffled
from curricle.recipes.spectrum.words import ADJECTIVES, INTRANSITIVE, PLURAL, SINGULAR, TRANSITIVE

_SENTENCES = 5

Sentence = Callable[[np.random.Generator], Query]


def _noun(random: np.random.Generator, *, plural: bool) -> str:
    """A noun phrase: the dog, those small dogs."""
    determiner = pick(random, ("the", "those" if plural else "that"))
    adjective = f"{pick(random, ADJECTIVES)} " if random.random() < 0.4 else ""
    return f"{determiner} {adjective}{pick(random, PLURAL if plural else SINGULAR)}"


def _agreeing(
    random: np.random.Generator,
    subject: str,
    verbs: tuple[tuple[str, str], ...],
    rest: str,
    *,
    plural: bool,
) -> Query:
    forms = verbs[int(random.integers(len(verbs)))]
    choices = tuple(shuffled(random, forms))
    return Query(subject, choices, choices.index(forms[plural]), rest)


def _plain(random: np.random.Generator) -> Query:
    plural = bool(random.integers(2))
    return _agreeing(random, _noun(random, plural=plural), INTRANSITIVE, ".", plural=plural)


def _with_object(random: np.random.Generator) -> Query:
    plural, other = (bool(random.integers(2)) for _ in range(2))
    rest = f"{_noun(random, plural=other)} ."
    return _agreeing(random, _noun(random, plural=plural), TRANSITIVE, rest, plural=plural)


def _near(random: np.random.Generator) -> Query:
    """The nearest noun, whose number may differ, isn't the subject."""
    plural, other = (bool(random.integers(2)) for _ in range(2))
    subject = f"{_noun(random, plural=plural)} near {_noun(random, plural=other)}"
    return _agreeing(random, subject, INTRANSITIVE, ".", plural=plural)


def _relative(random: np.random.Generator) -> Query:
    plural, other = (bool(random.integers(2)) for _ in range(2))
    inner = TRANSITIVE[int(random.integers(len(TRANSITIVE)))][plural]
    subject = f"{_noun(random, plural=plural)} that {inner} {_noun(random, plural=other)}"
    return _agreeing(random, subject, INTRANSITIVE, ".", plural=plural)


def _family(name: str, sentence: Sentence, *, held_out: bool = False) -> Family:
    def make(random: np.random.Generator, difficulty: Difficulty) -> Episode:
        del difficulty
        queries = tuple(sentence(random) for _ in range(_SENTENCES))
        return Episode("", queries, " ".join(query.text for query in queries))

    return Family(name, make, held_out)


FAMILIES = (
    _family("plain", _plain),
    _family("with-object", _with_object),
    _family("near", _near),
    _family("relative", _relative, held_out=True),
)
