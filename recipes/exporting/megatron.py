"""Megatron-LM's indexed dataset: `<domain>_text_document.bin` and `.idx`.

The `.bin` is all tokens. The `.idx`, little-endian: `MMIDIDX` and two zero bytes, version 1
(uint64), the code of the tokens' type (uint8), how many sequences and how many document ends
(uint64 each), then the sequences' lengths (int32), their byte offsets (int64) and the document ends
(int64). A document is one sequence.
"""

import struct
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from curricle.recipes.exporting.stored_documents import StoredDocument

# It knows no uint32; token ids fit into its int32.
_TYPES = {"<u2": ("<u2", 8), "<u4": ("<i4", 4)}


def write_megatron(
    documents: Iterator[StoredDocument], domain: str, dtype: str, output: Path
) -> list[str]:
    """Write one domain; returns the files' names."""
    stored, code = _TYPES[dtype]
    name = f"{domain}_text_document"
    lengths = array("q")
    with (output / f"{name}.bin").open("wb") as stream:
        for document in documents:
            stream.write(document.tokens.astype(stored).tobytes())
            lengths.append(len(document.tokens))
    sizes = np.array(lengths, dtype=np.int64)
    starts = (np.cumsum(sizes) - sizes) * np.dtype(stored).itemsize
    with (output / f"{name}.idx").open("wb") as stream:
        header = struct.pack("<9sQBQQ", b"MMIDIDX\0\0", 1, code, len(sizes), len(sizes) + 1)
        stream.write(header)
        stream.write(sizes.astype("<i4").tobytes())
        stream.write(starts.astype("<i8").tobytes())
        stream.write(np.arange(len(sizes) + 1, dtype="<i8").tobytes())
    return [f"{name}.bin", f"{name}.idx"]
