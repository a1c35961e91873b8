"""Words in the sense of spaCy's English tokenizer, for rules whose thresholds were set with it.

What stands between white space is a chunk. Opening and closing punctuation is taken off a chunk's
ends, mark by mark; what is left is cut at some marks between letters or digits ("a,b", "x=y") and
before contractions ("do n't", "it 's"). Marks are words of their own. Differences to spaCy: of its
list of exceptions only contractions, pairs of marks (smileys) and abbreviations are here, and units
stay with their numbers ("5km"). Everything happens in NumPy, on a whole portion of texts at once.
"""

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from curricle.recipes.character_flags import (
    CLOSING,
    DIGIT,
    HYPHEN,
    ICON,
    INNER,
    LETTER,
    LOWER,
    OPENING,
    PUNCTUATION,
    QUOTE,
    SPACE,
    UPPER,
    flags_of,
)
from curricle.recipes.codepoints import CodePoints, Indices, Mask, runs, to_code_points
from curricle.recipes.hashing import span_hashes

# Pairs of marks that spaCy takes for one word wherever they meet.
_PAIRS = "'' :) (: :( ): :* ;) (; :/ :] [: (* *) =) =( =/ =|"
_ABBREVIATIONS = (
    "Adm Ala Apr Ariz Ark Aug Bros Calif Co Colo Conn Corp Dec Del Dr Feb Fla Ga Gen Gov Ia Id Ill "
    "Inc Ind Jan Jr Jul Jun Kan Kans Ky La Ltd Mar Mass Md Messrs Mich Minn Miss Mo Mont Mr Mrs Ms "
    "Mt Neb Nebr Nev Nov Oct Okla Ore Pa Prof Rep Rev Sen Sep Sept St Tenn Va Wash Wis co vs "
    "e.g i.e E.g I.e a.m p.m v.s Ph.D "
    "a b c d e f g h i j k l m n o p q r s t u v w x y z"
)
_DOT, _PLUS, _COLON, _SLASH, _HYPHEN = (ord(mark) for mark in ".+:/-")


def word_spans(code_points: CodePoints) -> tuple[Indices, Indices]:
    """Starts and (exclusive) ends of the words of a text that ends with white space."""
    # Rules look at up to two neighbours; before the first character stands the last, a space.
    text = _Text(np.concatenate([code_points, to_code_points("\n\n").astype(code_points.dtype)]))
    begins = np.zeros(len(text.code_points) + 1, dtype=np.bool_)
    begins[text.starts] = True
    text.take_off_marks(begins)
    text.cut_inside(begins)
    text.cut_contractions(begins)
    text.join_marks(begins)
    begins[:-1] &= ~text.space
    # A word ends where the next begins, or at white space.
    stops = np.flatnonzero(begins[:-1] | text.space)
    is_start = np.flatnonzero(begins[stops])
    return stops[is_start], stops[is_start + 1]


class _Text:
    """A text's characters, its chunks, and what is left of them once marks are taken off."""

    def __init__(self, code_points: CodePoints) -> None:
        self.code_points = code_points
        self.flags = flags_of(code_points)
        self.space: Mask = (self.flags & SPACE) != 0
        self.starts, self.ends = runs(~self.space)
        self._flag_by_neighbours()
        # The core of each chunk, between the marks at its ends.
        self.core_starts, self.core_ends = self.starts.copy(), self.ends.copy()
        first, last = runs((self.flags & OPENING) != 0)
        marked = np.flatnonzero((self.flags[self.starts] & OPENING) != 0)
        self.core_starts[marked] = last[np.searchsorted(first, self.starts[marked])]
        first, last = runs((self.flags & CLOSING) != 0)
        marked = np.flatnonzero((self.flags[self.ends - 1] & CLOSING) != 0)
        self.core_ends[marked] = first[np.searchsorted(last, self.ends[marked])]
        # A chunk of marks alone has no core: all its marks are opening.
        self.core_ends = np.maximum(self.core_starts, self.core_ends)
        self.alone = np.zeros(len(code_points) + 1, dtype=np.bool_)

    def take_off_marks(self, begins: Mask) -> None:
        """Every mark of a chunk's ends is a word."""
        for starts, ends in ((self.starts, self.core_starts), (self.core_ends, self.ends)):
            self._stand_alone(_ranges(starts, ends), begins)

    def cut_inside(self, begins: Mask) -> None:
        """Cut cores at marks that stand between letters or digits; addresses stay whole."""
        places = np.flatnonzero(((self.flags & INNER) != 0) & ~self.alone[:-1])
        before, after = self.flags[places - 1], self.flags[places + 1]
        mark, following = self.code_points[places], self.code_points[places + 1]
        joins = (before & (LETTER | DIGIT) != 0) & (after & LETTER != 0)
        cut = joins & ((self.flags[places] & HYPHEN != 0) | _is_one_of(mark, ":<>=/"))
        cut |= (before & LETTER != 0) & (after & LETTER != 0) & _is_one_of(mark, ",")
        sums = (before & DIGIT != 0) & ((after & DIGIT != 0) | (following == _HYPHEN))
        cut |= sums & _is_one_of(mark, "+-*^")
        ends_sentence = (before & (LOWER | QUOTE) != 0) & (after & (UPPER | QUOTE) != 0)
        dotted = (self.code_points[places - 1] == _DOT) | (following == _DOT)
        cut |= (mark == _DOT) & (ends_sentence | dotted)
        cut |= (self.flags[places] & ICON != 0) | _is_one_of(mark, "…")
        dashes = (mark == _HYPHEN) & (before & (LETTER | DIGIT) != 0) & (following == _HYPHEN)
        dashes &= self.flags[places + 2] & LETTER != 0
        self._stand_alone(self._outside_addresses(places[cut]), begins)
        double = self._outside_addresses(places[dashes])
        self._stand_alone(np.concatenate([double, double + 1]), begins)
        begins[double + 1] = False

    def cut_contractions(self, begins: Mask) -> None:
        """Cut before 's, 'd, 'm, 'll, 've, 're and n't at the end of a core."""
        places = np.flatnonzero(_is_one_of(self.code_points, "'’"))
        chunks = np.searchsorted(self.starts, places, side="right") - 1
        rest = self.core_ends[chunks] - places
        first, second = (self.code_points[places + step] | 0x20 for step in (1, 2))
        possessive = places[(rest == 2) & _is_one_of(first, "s")]
        begins[possessive] = True
        begins[possessive + 1] = False
        inside = ~self.alone[places]
        short = (rest == 2) & _is_one_of(first, "dm")
        long = (rest == 3) & _is_pair(first, second, ("ll", "ve", "re"))
        begins[places[inside & (short | long)]] = True
        negated = _is_one_of(self.code_points[places - 1] | 0x20, "n") & _is_one_of(first, "t")
        begins[places[inside & (rest == 2) & negated] - 1] = True

    def join_marks(self, begins: Mask) -> None:
        """Undo cuts inside runs of dots, smileys and abbreviations."""
        alone = np.flatnonzero(self.alone)
        dots = alone[(self.code_points[alone] == _DOT) & (self.code_points[alone - 1] == _DOT)]
        begins[dots[self.alone[dots - 1]]] = False
        marks = alone[:-1][np.diff(alone) == 1]
        pairs = _is_pair(self.code_points[marks], self.code_points[marks + 1], _PAIRS.split())
        marks = marks[pairs]
        # Of overlapping pairs the first.
        begins[marks[np.diff(marks, prepend=-2) > 1] + 1] = False
        begins[self._abbreviation_dots(alone)] = False

    def _flag_by_neighbours(self) -> None:
        """Marks that close or open a chunk only beside certain characters."""
        code_points, flags = self.code_points, self.flags
        dots = np.flatnonzero(code_points == _DOT)
        before = code_points[dots - 1]
        closes = flags[dots - 1] & (DIGIT | LOWER | QUOTE | PUNCTUATION) != 0
        closes |= _is_one_of(before, "%²-+")
        closes |= (flags[dots - 1] & UPPER != 0) & (flags[dots - 2] & UPPER != 0)
        dotted = (before == _DOT) | (code_points[dots + 1] == _DOT)
        flags[dots[closes]] |= CLOSING
        flags[dots[dotted]] |= OPENING | CLOSING
        signs = np.flatnonzero(code_points == _PLUS)
        flags[signs[flags[signs + 1] & DIGIT != 0]] &= ~np.uint16(OPENING)
        units = np.flatnonzero(_is_one_of(code_points, "+$%"))
        flags[units[flags[units - 1] & DIGIT != 0]] |= CLOSING

    def _stand_alone(self, places: Indices, begins: Mask) -> None:
        self.alone[places] = True
        begins[places] = True
        begins[places + 1] = True

    def _outside_addresses(self, places: Indices) -> Indices:
        """Those of `places` that aren't in a core which begins like "http://"."""
        colons = np.flatnonzero(self.code_points[:-2] == _COLON)
        slashes = (self.code_points[colons + 1] == _SLASH) & (
            self.code_points[colons + 2] == _SLASH
        )
        colons = colons[slashes]
        chunks = np.searchsorted(self.starts, colons, side="right") - 1
        scheme = colons - self.core_starts[chunks]
        addresses = chunks[(scheme >= 3) & (scheme <= 5)]
        return places[~np.isin(np.searchsorted(self.starts, places, side="right") - 1, addresses)]

    def _abbreviation_dots(self, alone: Indices) -> Indices:
        """Dots taken off a core that is an abbreviation."""
        dots = alone[(self.code_points[alone] == _DOT)]
        chunks = np.searchsorted(self.starts, dots, side="right") - 1
        starts, ends = self.core_starts[chunks], self.core_ends[chunks]
        short = (ends == dots) & (ends > starts) & (ends - starts <= _longest_abbreviation())
        short &= self.code_points[dots + 1] != _DOT
        dots, starts, ends = dots[short], starts[short], ends[short]
        hashes = span_hashes(self.code_points, starts, ends)
        found: Indices = dots[np.isin(hashes, _abbreviation_hashes())]
        return found


def _ranges(starts: Indices, ends: Indices) -> Indices:
    """All places from each start to its end."""
    lengths = ends - starts
    first = np.cumsum(lengths) - lengths
    places: Indices = np.arange(lengths.sum()) + np.repeat(starts - first, lengths)
    return places


def _is_one_of(code_points: CodePoints, marks: str) -> Mask:
    found = np.zeros(len(code_points), dtype=np.bool_)
    for mark in marks:
        found |= code_points == ord(mark)
    return found


def _is_pair(first: CodePoints, second: CodePoints, pairs: Sequence[str]) -> Mask:
    """Which characters are a pair of ASCII characters among `pairs`."""
    table = np.zeros((128, 128), dtype=np.bool_)
    for pair in pairs:
        table[ord(pair[0]), ord(pair[1])] = True
    found: Mask = (first < 128) & (second < 128) & table[first & 127, second & 127]
    return found


@functools.cache
def _abbreviation_hashes() -> npt.NDArray[np.uint64]:
    abbreviations = _ABBREVIATIONS.split()
    ends = np.cumsum([len(one) + 1 for one in abbreviations]) - 1
    starts = ends - [len(one) for one in abbreviations]
    return span_hashes(to_code_points(" ".join(abbreviations)), starts, ends)


@functools.cache
def _longest_abbreviation() -> int:
    return max(map(len, _ABBREVIATIONS.split()))
