"""What each character is to the rules that cut text into words and sentences, as bit flags.

The sets follow spaCy's English punctuation rules (`spacy/lang/char_classes.py`) and datatrove's
lists of symbols and of terminal punctuation, so that published thresholds keep their meaning.
"""

import functools
import unicodedata
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from curricle.recipes.codepoints import (
    LAST_WORD_CHARACTER,
    NUMBER_OF_CODE_POINTS,
    CodePoints,
)

Flags = npt.NDArray[np.uint16]

SPACE, LETTER, DIGIT, LOWER, UPPER, ICON = 1, 2, 4, 8, 16, 32
OPENING, CLOSING, INNER, QUOTE, HYPHEN = 64, 128, 256, 512, 1024
PUNCTUATION, TERMINAL = 2048, 4096
# What makes a word more than symbols, or more than punctuation in the sense of Unicode.
NOT_SYMBOL, NOT_PUNCTUATION = 8192, 16384

PUNCTUATION_MARKS = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧"
CURRENCIES = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫₭₮₯₰₱₲₳₵₶₷₸₹₺₻₼₾₿"
HYPHENS = "-–—~"
# Symbols that don't count as words on their own; with them control characters and TERMINALS.
SYMBOLS = (
    "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
)
# Ends of sentences in all scripts (Unicode property Sentence_Terminal, and the full stops).
TERMINALS = (
    "!.?։؝؞؟۔܀܁܂߹࠷࠹࠽࠾।॥၊။።፧፨᙮᜵᜶។៕៖៙៚᠃᠉᥄᥅᪨᪩᪪᪫᭚᭛᭞᭟᭽᭾᰻᰼᱾᱿‼‽⁇⁈⁉⸮⸼⹓⹔。꓿꘎꘏꛳꛷꡶꡷꣎꣏꤯꧈꧉꩝꩞꩟꫰꫱꯫﹒﹖﹗！．？｡"
    "𐩖𐩗𐽕𐽖𐽗𐽘𐽙𐾆𐾇𐾈𐾉𑁇𑁈𑂾𑂿𑃀𑃁𑅁𑅂𑅃𑇅𑇆𑇍𑇞𑇟𑈸𑈹𑈻𑈼𑊩𑑋𑑌𑗂𑗃𑗉𑗊𑗋𑗌𑗍𑗎𑗏𑗐𑗑𑗒𑗓𑗔𑗕𑗖𑗗𑙁𑙂𑜼𑜽𑜾𑥄𑥆𑩂𑩃𑪛𑪜𑱁𑱂𑻷𑻸"
    "𑽃𑽄𖩮𖩯𖫵𖬷𖬸𖭄𖺘𛲟𝪈"
)


def flags_of(code_points: CodePoints) -> Flags:
    """Flags of each character; shape (characters,)."""
    return _table()[code_points]


@functools.cache
def _table() -> Flags:
    table = np.zeros(NUMBER_OF_CODE_POINTS, dtype=np.uint16)
    characters = [chr(code) for code in range(LAST_WORD_CHARACTER + 1)]
    for flag, holds in (
        (SPACE, str.isspace),
        (LETTER, str.isalpha),
        (LOWER, str.islower),
        (UPPER, str.isupper),
    ):
        table[: len(characters)][[holds(one) for one in characters]] |= flag
    icons = [code for code, one in enumerate(characters) if unicodedata.category(one) == "So"]
    table[icons] |= ICON | OPENING | CLOSING | INNER
    for marks, flag in (
        ("0123456789", DIGIT),
        (PUNCTUATION_MARKS, PUNCTUATION),
        (PUNCTUATION_MARKS + QUOTES + "—–", OPENING | CLOSING),
        ("§%=+" + CURRENCIES, OPENING),
        (QUOTES, QUOTE),
        (HYPHENS, HYPHEN),
        (HYPHENS + ",:<>=/+*^.…", INNER),
        (TERMINALS, TERMINAL),
    ):
        table[_codes(marks)] |= flag
    table[(table & SPACE) == 0] |= NOT_SYMBOL | NOT_PUNCTUATION
    table[_codes(SYMBOLS + TERMINALS + _control_characters())] &= ~np.uint16(NOT_SYMBOL)
    punctuation = (one for one in characters if unicodedata.category(one).startswith("P"))
    table[_codes(punctuation)] &= ~np.uint16(NOT_PUNCTUATION)
    return table


def _control_characters() -> str:
    """All but the line feed, as datatrove has it."""
    return "".join(chr(code) for code in (*range(32), *range(127, 160)) if code not in (9, 10))


def _codes(marks: Iterable[str]) -> list[int]:
    return [ord(mark) for mark in marks]
