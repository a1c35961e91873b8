"""Texts in portions of bounded size, so that memory doesn't follow the longest document.

A text longer than a portion is cut at white space, where no word is lost. Where the cuts fall
depends on the text alone; only a word longer than a whole portion is cut into several.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from curricle.recipes.codepoints import CodePoints, Indices, to_code_points

# Portions of this many characters keep the intermediate arrays (some 40 bytes a character) in the
# processor's cache.
PORTION = 1 << 18


def batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """`texts` in turn, whole, in lists of at least a portion (but for the last)."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= PORTION:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


class Portion:
    """Pieces of texts as one array, a line feed after each.

    Attributes: `code_points` (characters,); `bounds` (pieces + 1,), where each piece starts;
    `texts` (pieces,), the index of the text that each belongs to.
    """

    def __init__(self, pieces: Sequence[str], texts: Sequence[int]) -> None:
        self.code_points: CodePoints = to_code_points("".join(f"{piece}\n" for piece in pieces))
        lengths = np.array([len(piece) + 1 for piece in pieces], dtype=np.int64)
        self.bounds: Indices = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        self.texts: Indices = np.array(texts, dtype=np.int64)

    def texts_of(self, places: Indices) -> Indices:
        """The text that holds each of the places, which must be ascending; shape (places,)."""
        counts = np.diff(np.searchsorted(places, self.bounds))
        return np.repeat(self.texts, counts)


def portions(texts: Sequence[str]) -> Iterator[Portion]:
    """`texts` in turn, cut into pieces; one text may go on in the next portion."""
    pieces: list[str] = []
    owners: list[int] = []
    characters = 0
    for index, text in enumerate(texts):
        for piece in cut(text):
            pieces.append(piece)
            owners.append(index)
            characters += len(piece)
            if characters >= PORTION:
                yield Portion(pieces, owners)
                pieces, owners, characters = [], [], 0
    if pieces:
        yield Portion(pieces, owners)


def cut(text: str) -> Iterator[str]:
    """The pieces of a text, none longer than a portion; together they are the text."""
    start = 0
    while len(text) - start > PORTION:
        window = text[start : start + PORTION]
        # The word that goes on beyond the window belongs to the next piece.
        tail = "" if window[-1].isspace() else window.rsplit(None, 1)[-1]
        end = start + (PORTION - len(tail) or PORTION)
        yield text[start:end]
        start = end
    yield text[start:]
