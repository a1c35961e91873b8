"""The spectrum: deterministic, exact, without overlap, and not solved by its wording."""

import itertools
import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pytest

from curricle.core.choice_items import ChoiceItem
from curricle.recipes.specs.spectrum import STAGES, Difficulty, SpectrumSource
from curricle.recipes.spectrum.generating import FAMILIES, items, read
from curricle.recipes.spectrum.tokenizer import spectrum_tokenizer
from curricle.recipes.spectrum.words import UNKNOWN, vocabulary
from curricle.recipes.splitting import is_held_out

FRACTION, SEED = 0.5, 3


def source(tokens: int = 30_000, **difficulty: object) -> SpectrumSource:
    return SpectrumSource(
        source="spectrum", tokens_per_stage=tokens, difficulty=Difficulty.model_validate(difficulty)
    )


@pytest.fixture(scope="module")
def evaluation() -> list[ChoiceItem]:
    return list(items(source(), 250, FRACTION, SEED))


@pytest.fixture(scope="module")
def training() -> list[str]:
    return [document.text for document in read(source())]


def of_stage(evaluation: Iterable[ChoiceItem], stage: str) -> list[ChoiceItem]:
    return [item for item in evaluation if item.stage == stage]


def test_the_same_settings_give_the_same_text_and_another_seed_another() -> None:
    first = [*read(source(2_000))]
    assert first == [*read(source(2_000))]
    other = SpectrumSource(source="spectrum", tokens_per_stage=2_000, seed=1)
    texts = {one.text for one in first if one.domain != "problems"}
    assert not texts & {one.text for one in read(other)}, "sums are few and recur"


def test_more_tokens_begin_with_the_same_documents() -> None:
    few = [one for one in read(source(1_000)) if one.domain == "facts"]
    many = [one for one in read(source(2_000)) if one.domain == "facts"]
    assert many[: len(few)] == few
    assert sum(len(one.text.split()) + 1 for one in many) >= 2_000


def test_every_word_is_one_token_of_a_small_closed_vocabulary(
    training: list[str], evaluation: list[ChoiceItem]
) -> None:
    assert len(vocabulary()) <= 512
    tokenizer = spectrum_tokenizer()
    unknown = tokenizer.token_to_id(UNKNOWN)
    texts = [*training, *(f"{item.prompt} {' '.join(item.choices)}" for item in evaluation)]
    for text, encoding in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert unknown not in encoding.ids
        assert tokenizer.decode(encoding.ids, skip_special_tokens=False) == text


def test_one_family_of_each_stage_is_held_out_and_uses_no_word_that_isnt_trained_on(
    training: list[str], evaluation: list[ChoiceItem]
) -> None:
    words = {word for text in training for word in text.split()}
    for stage in STAGES:
        held_out = [family for family in FAMILIES[stage] if family.held_out]
        assert len(held_out) == 1
        assert len(FAMILIES[stage]) >= 4
        asked = [item for item in of_stage(evaluation, stage) if item.held_out]
        assert {item.family for item in asked} == {held_out[0].name}
        assert {word for item in asked for word in item.prompt.split()} <= words
    trained = {tuple(document.id.split("/")[:2]) for document in read(source(3_000))}
    assert trained == {
        (stage, one.name) for stage in STAGES for one in FAMILIES[stage] if not one.held_out
    }


def test_no_item_stands_in_training_text(evaluation: list[ChoiceItem]) -> None:
    train = [
        f"{document.text} "
        for document in read(source())
        if not is_held_out(document.group, FRACTION, SEED)
    ]
    assert len(train) > 1_000
    prompts = {f"{item.prompt} " for item in evaluation}
    for text in train:
        words = text.split()
        beginnings = {" ".join(words[:end]) + " " for end in range(1, len(words))}
        # Single sentences are drawn from few enough to recur: there is nothing to know by heart.
        found = {prompt for prompt in beginnings & prompts if "." in prompt or "=" in prompt}
        assert not found, text


@pytest.mark.parametrize("stage", STAGES)
def test_choices_are_distinct_and_the_right_one_stands_anywhere(
    evaluation: list[ChoiceItem], stage: str
) -> None:
    asked = of_stage(evaluation, stage)
    assert all(len(set(item.choices)) == len(item.choices) for item in asked)
    for size in {len(item.choices) for item in asked}:
        places = Counter(item.answer for item in asked if len(item.choices) == size)
        total = sum(places.values())
        assert set(places) == set(range(size))
        assert max(places.values()) < total / size + 4 * np.sqrt(total / size)


def facts_in(prompt: str) -> dict[tuple[str, str], str]:
    """What a passage says: (who, property) -> value."""
    found: dict[tuple[str, str], str] = {}
    patterns = {"home": r"(\w+) lives in (\w+) \.", "food": r"(\w+) eats (\w+) \."}
    for name, pattern in {**patterns, "work": r"(\w+) is a (\w+) \."}.items():
        found |= {(who, name): value for who, value in re.findall(pattern, prompt)}
    for relation, who, whom in re.findall(r"the (friend|boss) of (\w+) is (\w+) \.", prompt):
        found[who, relation] = whom
    return found


def solve_people(prompt: str) -> str:
    """The answer to a question about people, by reading."""
    facts = facts_in(prompt)
    question = prompt.split(" question : ")[1]
    if question.startswith("who"):
        value = question.removesuffix(" ? answer :").split()[-1]
        return next(who for (who, _), said in facts.items() if said == value)
    *chain, who = re.sub(
        r"\b(where|what|work|does|do|live|eat|the|of)\b", "", question[:-11]
    ).split()
    for relation in reversed(chain):
        who = facts[who, relation]
    name = {"where": "home", "what": "food"}[question.split()[0]]
    return facts[who, "work" if "work" in question else name]


@pytest.mark.parametrize("stage", ["facts", "multi-hop"])
@pytest.mark.parametrize("hops", [2, 3])
def test_questions_about_people_have_the_answer_that_reading_gives(stage: str, hops: int) -> None:
    asked = of_stage(items(source(hops=(hops, hops)), 40, FRACTION, SEED), stage)
    for item in asked:
        assert item.choices[item.answer] == solve_people(item.prompt), item


def solve_problem(prompt: str) -> int:
    """The answer to a problem, by running it."""
    if "print" in prompt:
        *lines, last = prompt.split(" . ")
        variables: dict[str, int] = {}
        for line in lines:
            name, formula = line.split(" = ")
            variables[name] = eval(formula, {}, variables)
        return variables[last.split()[1]]
    if prompt.endswith("="):
        return int(eval(prompt[:-1]))
    numbers = re.findall(r"(has|finds|gives \w+) (\d+)", prompt)
    return sum(-int(number) if "gives" in verb else int(number) for verb, number in numbers)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("largest", [9, 99])
def test_problems_have_the_answer_that_running_them_gives(steps: int, largest: int) -> None:
    asked = of_stage(
        items(source(steps=(steps, steps), largest=largest), 60, FRACTION, SEED), "problems"
    )
    for item in asked:
        right = solve_problem(item.prompt)
        assert item.choices[item.answer] == str(right), item
        assert 0 <= right <= largest


def test_clozes_hide_what_the_passage_says(evaluation: list[ChoiceItem]) -> None:
    for item in of_stage(evaluation, "cloze"):
        passage, blank = item.prompt.split(" blank : ")
        filled = blank.removesuffix(" fill :").replace("_", item.choices[item.answer])
        assert filled in passage
        for index, wrong in enumerate(item.choices):
            if index != item.answer:
                assert blank.removesuffix(" fill :").replace("_", wrong) not in passage


class Bigrams:
    """A bigram model with add-one smoothing."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.pairs: Counter[tuple[str, str]] = Counter()
        self.firsts: Counter[str] = Counter()
        for text in texts:
            words = text.split()
            self.pairs.update(itertools.pairwise(words))
            self.firsts.update(words[:-1])

    def score(self, prompt: str, choice: str) -> float:
        words = [prompt.rsplit(maxsplit=1)[-1], *choice.split()]
        return sum(
            float(np.log((self.pairs[pair] + 1) / (self.firsts[pair[0]] + len(vocabulary()))))
            for pair in itertools.pairwise(words)
        )

    def advantage(self, asked: list[ChoiceItem]) -> float:
        """Accuracy minus chance; a tie counts as its share."""
        gained = 0.0
        for item in asked:
            scores = np.array([self.score(item.prompt, choice) for choice in item.choices])
            best = np.flatnonzero(scores >= scores.max() - 1e-12)
            gained += (item.answer in best) / len(best) - 1 / len(item.choices)
        return gained / len(asked)


def test_a_bigram_model_solves_none_of_the_stages_from_cloze_on(
    training: list[str], evaluation: list[ChoiceItem]
) -> None:
    bigrams = Bigrams(training)
    for stage in STAGES[2:]:
        assert bigrams.advantage(of_stage(evaluation, stage)) <= 0.05, stage
    plain = [item for item in evaluation if item.family == "plain"]
    assert bigrams.advantage(plain) > 0.3, "it does know which verb follows a noun"
