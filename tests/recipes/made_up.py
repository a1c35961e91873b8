"""Made-up texts and packages for tests, and shingles by a plain reference."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curricle.recipes.document_file import Documents
from curricle.recipes.documents import Document, documents_table
from curricle.recipes.dropped import DROPPED, Example, read_dropped
from curricle.recipes.engine import IN_PROCESS, Engine
from curricle.recipes.measuring import measure
from curricle.recipes.specs.recipe import Recipe
from curricle.recipes.specs.steps import Step
from curricle.recipes.steps import ACCOUNTS, DOCUMENTS, run_step

SEVEN_DOMAINS = Path(__file__).parents[3] / "shared" / "data"

_SOME_WORDS = (
    "the of and model data token layer batch weight score curve rate sample width store hash split "
    "carriage horse road wheel light driver whip rein axle spring travel journey town inn mile "
    "river bridge gate field stone wood iron leather morning evening night rain wind dust"
)
WORDS = np.array(_SOME_WORDS.split())


def prose(seed: int, words: int = 60) -> str:
    """Sentences of random words; different seeds share hardly any 5-gram."""
    drawn = np.random.default_rng(seed).choice(WORDS, words)
    sentences = [" ".join(part).capitalize() + "." for part in np.array_split(drawn, words // 10)]
    return "\n".join(sentences) + "\n"


def table_of(texts: Mapping[str, str], domain: str = "prose") -> pa.Table:
    """A document table with the keys as ids."""
    return documents_table(Document(key, text, domain, key, key) for key, text in texts.items())


class Applied(NamedTuple):
    """What a step made of a table."""

    table: pa.Table
    account: dict[str, Any]
    dropped: list[Example]

    @property
    def ids(self) -> list[str]:
        return list(self.table["id"].to_pylist())

    @property
    def reasons(self) -> dict[str, str]:
        """Reason by id, of the examples."""
        return {example.id: example.reason for example in self.dropped}


def step_of(**settings: Any) -> Step:
    """A step as a study gives it, whose lists are tuples."""
    plain = {
        key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()
    }
    return Recipe.model_validate({"steps": (plain,)}).steps[0]


def apply(
    step: Step, source: pa.Table | Path, seed: int = 0, engine: Engine = IN_PROCESS
) -> Applied:
    """Measure and run a step in a temporary folder."""
    documents = Documents(source)
    with tempfile.TemporaryDirectory() as name:
        folder, measured = Path(name), None
        if step.measurement is not None:
            measured = folder / "measured"
            measured.mkdir()
            measure(step.measurement, documents, measured, engine)
        (account,) = run_step(step, documents, measured, seed, folder, engine=engine)
        assert sorted(path.name for path in folder.iterdir() if path != measured) == [
            *(DOCUMENTS, DROPPED, ACCOUNTS)
        ]
        return Applied(pq.read_table(folder / DOCUMENTS), account, read_dropped(folder / DROPPED))


def python_code(seed: int, functions: int = 6) -> str:
    """A module of functions, each with a summary of its own and a long docstring."""
    draw = np.random.default_rng(seed)
    parts = ['"""Module."""\n']
    for number in range(functions):
        name = f"{draw.choice(WORDS)}_{draw.choice(WORDS)}_{seed}_{number}"
        summary = " ".join(draw.choice(WORDS, 6)).capitalize()
        body = prose(seed * 1000 + number, 50).replace("\n", "\n    ")
        parts.append(f'def {name}(x):\n    """{summary}.\n\n    {body}"""\n    return x\n\n')
    return "\n".join(parts)


def package(seed: int, modules: int = 4) -> dict[str, str]:
    """Files of a package that feeds all six domains."""
    name = f"pack{seed}"
    files = {f"{name}/m{number}.py": python_code(seed * 100 + number) for number in range(modules)}
    for number in range(3):
        text = prose(seed * 7919 + number, 80)
        lines = text.splitlines()
        files |= {
            f"{name}/doc{number}.md": text,
            f"{name}/include/h{number}.h": "\n".join(f"// {line}" for line in lines),
            f"{name}/static/s{number}.js": "\n".join(f"// {line}" for line in lines[::-1]),
            f"{name}-1.0.dist-info/licenses/LICENSE.{number}": prose(seed * 104729 + number, 70),
        }
    return files


def word_ngrams(text: str, ngram: int) -> list[tuple[str, ...]]:
    """All n-grams of lower-cased words; of fewer than n words, all of them as one."""
    lowered = "".join(character.lower()[0] for character in text)
    words = re.findall(r"\w+", lowered)
    if len(words) < ngram:
        return [tuple(words)] if words else []
    return [tuple(words[start : start + ngram]) for start in range(len(words) - ngram + 1)]


def jaccard(left: str, right: str, ngram: int = 5) -> float:
    """Similarity of the n-gram sets."""
    one, other = set(word_ngrams(left, ngram)), set(word_ngrams(right, ngram))
    return len(one & other) / len(one | other) if one | other else 0.0
