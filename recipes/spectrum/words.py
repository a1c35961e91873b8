"""The closed vocabulary: every word that any stage of the spectrum can write."""

END_OF_TEXT, UNKNOWN = "<|endoftext|>", "<unk>"
LARGEST_NUMBER = 99


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _verbs(text: str) -> tuple[tuple[str, str], ...]:
    """Third person singular, then plural."""
    return tuple((f"{verb}s", verb) for verb in text.split())


NAMES = _words(
    "ann bob carl dora emil fay gus hana ivan jill karl lena max nora otto pia quinn rosa sam tina "
    "udo vera will zoe"
)
CITIES = _words(
    "oslo rome paris berlin cairo lima delhi tokyo dublin vienna athens lisbon kyoto quito milan "
    "prague"
)
JOBS = _words(
    "baker doctor farmer teacher sailor painter singer driver tailor miner pilot judge nurse smith "
    "cook guard"
)
FOODS = _words(
    "bread rice soup cake cheese apples plums fish beans corn honey nuts eggs pears salad noodles"
)
PLACES = _words("park school market farm harbour station library church tower garden mill castle")
COLOURS = _words("red blue green black white yellow brown grey pink purple")
OBJECTS = _words("ball cup hat book box bag lamp coat chair bell drum kite rope spoon ring clock")
ADJECTIVES = _words("small big old young fast slow quiet loud clever tired happy angry")
SINGULAR = _words("dog cat horse bird cow goat bear lion duck hen rabbit pig frog owl king girl")
PLURAL = tuple(f"{noun}s" for noun in SINGULAR)
INTRANSITIVE = _verbs("sleep run jump wait sing fall swim smile rest walk")
TRANSITIVE = _verbs("see like follow hear find help fear chase know call")
RELATIONS = _words("friend boss")
VARIABLES = _words("x y z u v w p")

_SIGNS = _words(". : ? _ = + -")
_SENTENCES = _words(
    "the that those near and a of in is has to from now lives live goes gives takes"
)
_QUESTIONS = _words("eats eat question answer blank fill where what who work does do how many have")


def vocabulary() -> tuple[str, ...]:
    """All tokens, each once, in an order that never changes: a token's id is its place."""
    verbs = (form for pair in (*INTRANSITIVE, *TRANSITIVE) for form in pair)
    every = (
        *(END_OF_TEXT, UNKNOWN, *_SIGNS, *_SENTENCES, *_QUESTIONS, "print"),
        *(*NAMES, *CITIES, *JOBS, *FOODS, *PLACES, *COLOURS, *OBJECTS, *ADJECTIVES),
        *(*SINGULAR, *PLURAL, *verbs, *RELATIONS, *VARIABLES),
        *map(str, range(LARGEST_NUMBER + 1)),
    )
    return tuple(dict.fromkeys(every))
