"""64-bit hashes of spans of text, in NumPy, without a Python loop per word.

A span is read as little-endian words of four 16-bit units, so that English words take one or two
steps each; the hash depends on the characters alone, not on what stands around them.
"""

import hashlib

import numpy as np
import numpy.typing as npt

from curricle.recipes.codepoints import CodePoints, Indices

Hashes = npt.NDArray[np.uint64]

_UNITS = 4
# Longer spans are hashed one by one: whoever cares about speed has few of them, and a step for
# every four characters of all spans would cost quadratic time on a text without white space.
_LONGEST = 16 * _UNITS
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_MASKS = np.array([0, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF], dtype=np.uint64)


def mix(values: Hashes) -> Hashes:
    """splitmix64's finaliser: every input bit changes half of the output bits."""
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def span_hashes(code_points: CodePoints, starts: Indices, ends: Indices) -> Hashes:
    """Hash of `code_points[start:end]` for each span; shape (spans,).

    Spans mustn't be empty or overlap, and stand in ascending order.
    """
    units = np.zeros(len(code_points) + _UNITS, dtype=np.uint16)
    units[: len(code_points)] = code_points
    # An unaligned view: the four units from each place on, as one number.
    windows = np.ndarray((len(code_points) + 1,), "<u8", buffer=units, strides=(2,))
    lengths = ends - starts
    hashes = mix(windows[starts] & _MASKS[np.minimum(lengths, _UNITS)])
    offset, rest = _UNITS, np.flatnonzero((lengths > _UNITS) & (lengths <= _LONGEST))
    while len(rest):
        remaining = np.minimum(lengths[rest] - offset, _UNITS)
        values = windows[starts[rest] + offset] & _MASKS[remaining]
        hashes[rest] = mix(hashes[rest] * _MULTIPLIER + values)
        offset += _UNITS
        rest = rest[lengths[rest] > offset]
    for span in np.flatnonzero(lengths > _LONGEST):
        content = units[starts[span] : ends[span]].tobytes()
        digest = hashlib.blake2b(content, digest_size=8).digest()
        hashes[span] = int.from_bytes(digest, "little")
    if code_points.dtype.itemsize > 2 and len(starts):
        _add_planes(hashes, code_points, starts, ends)
    return hashes


def _add_planes(hashes: Hashes, code_points: CodePoints, starts: Indices, ends: Indices) -> None:
    """Add what lies beyond 16 bits of a code point; spans must be apart and ascending."""
    places = np.flatnonzero(code_points >> 16)
    spans = np.searchsorted(starts, places, side="right") - 1
    inside = (spans >= 0) & (places < ends[spans])
    places, spans = places[inside], spans[inside]
    offsets = (places - starts[spans] + 1).astype(np.uint64)
    np.add.at(hashes, spans, mix((code_points[places] >> 16) + offsets * _MULTIPLIER))
