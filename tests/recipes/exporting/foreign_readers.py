"""Reads exported datasets with MosaicML's and OLMo's own packages, in a Python that has them.

    READERS-PYTHON foreign_readers.py mds|olmo FOLDER DTYPE

FOLDER holds one domain. Prints its documents as JSON: `[[id or null, tokens], …]`. Nothing of
curricle is imported, since these packages can't live beside it: mosaicml-streaming needs
numpy < 2.2, ai2-olmo-core filelock < 4.
"""

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Documents = Iterator[list[Any]]


def mds(folder: str, dtype: str) -> Documents:
    """Every sample, by StreamingDataset's local reader."""
    del dtype  # the samples know it
    # Its __init__ would import the image datasets, and torchvision, whose build must be torch's.
    spec: Any = importlib.util.find_spec("streaming")
    sys.modules["streaming"] = importlib.util.module_from_spec(spec)
    reader: Any = importlib.import_module("streaming.base.local")
    for sample in reader.LocalDataset(folder):
        yield [sample["id"], sample["tokens"].tolist()]


def olmo(folder: str, dtype: str) -> Documents:
    """Every document, between the boundaries that OLMo-core reads from the `.csv.gz`."""
    data: Any = importlib.import_module("olmo_core.data.utils")
    numpy: Any = importlib.import_module("numpy")
    for path in sorted(Path(folder).glob("*.npy")):
        by_row = data.get_document_indices(path)
        kind = getattr(numpy, dtype)
        by_token = data.iter_document_indices(path, eos_token_id=0, dtype=kind)
        assert by_row == [(int(start), int(end)) for start, end in by_token]
        for start, end in by_row:
            yield [None, data.load_array_slice(path, start, end, kind).tolist()]


READERS: dict[str, Callable[[str, str], Documents]] = {"mds": mds, "olmo": olmo}

if __name__ == "__main__":
    print(json.dumps(list(READERS[sys.argv[1]](*sys.argv[2:]))))
