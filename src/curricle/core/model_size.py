"""How many parameters a model has, and the shape that has a wanted number of them."""

import functools
import math
from dataclasses import replace

from curricle.core.errors import InputError
from curricle.core.families import family_of, has_tied_head, widths_of
from curricle.core.jobs import ModelSpec

_LARGEST_WIDTH = 4096


def non_embedding_parameters(spec: ModelSpec) -> int:
    """Parameters outside the tables of tokens and positions and the output head."""
    family, widths = family_of(spec), widths_of(spec)
    width, bias = spec.width, int(family.biases)
    norm = width if family.rms_norm else 2 * width
    attention = (width + bias) * (width + 2 * widths.key_value) + (width + bias) * width
    expanded = widths.feed_forward * (2 if family.gated else 1)
    feed_forward = (width + bias) * expanded + (widths.feed_forward + bias) * width
    final_norm = 0 if spec.post_norm else norm
    projections = 2 * widths.embedding * width if widths.embedding != width else 0
    return spec.num_layers * (attention + feed_forward + 2 * norm) + final_norm + projections


def parameters(spec: ModelSpec) -> int:
    """All distinct parameters; a head tied to the token embeddings counts once."""
    family, widths = family_of(spec), widths_of(spec)
    tables = 1 if has_tied_head(spec) else 2
    learned = 0 if family.rotary_share else spec.sequence_length + family.position_offset
    tokens = tables * spec.vocabulary_size * widths.embedding
    return non_embedding_parameters(spec) + tokens + learned * spec.width


def with_non_embedding_parameters(spec: ModelSpec, target: int) -> ModelSpec:
    """`spec` with the depth, width and heads whose non-embedding parameters are nearest `target`.

    Candidates are all shapes with a depth between width / 64 and width / 32, the band in which
    GPT-2's models lie. Widths are multiples of 16, of 32 from 256 and of 64 from 512 on; heads are
    64 wide from width 512 on, below it 32, or 16 where 32 doesn't divide the width. Nearest is
    meant as a ratio, so that a larger target never gives fewer parameters. The result is within
    25 % of targets from 100 thousand on, 10 % from a million, 5 % from ten million. Raises
    InputError for a target beyond the candidates' range.
    """
    candidates = _candidates(spec)
    smallest, largest = candidates[0][0], candidates[-1][0]
    if not smallest <= target <= largest:
        raise InputError(
            f"non_embedding_parameters {target}",
            expected=f"from {smallest} to {largest} in family {spec.family}",
            fix="change it, or give num_layers, width and num_heads",
        )
    return min(candidates, key=lambda one: abs(math.log(one[0] / target)))[1]


@functools.cache
def _candidates(spec: ModelSpec) -> list[tuple[int, ModelSpec]]:
    """The size knob's shapes with their parameters, smallest first."""
    shapes = [
        replace(spec, num_layers=depth, width=width, num_heads=width // _head_width(width))
        for width in (
            *range(32, 256, 16),
            *range(256, 512, 32),
            *range(512, _LARGEST_WIDTH + 1, 64),
        )
        for depth in range(-(-width // 64), width // 32 + 1)
    ]
    sized = [(non_embedding_parameters(shape), shape) for shape in shapes]
    return sorted(sized, key=lambda one: (one[0], one[1].width))


def _head_width(width: int) -> int:
    if width >= 512:
        return 64
    return 16 if width % 32 else 32
