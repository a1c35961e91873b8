"""The files of a Hugging Face model folder: JSON and safetensors, never a pickle."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from curricle.core.errors import InputError, IntegrityError

CONFIG, GENERATION = "config.json", "generation_config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises IntegrityError, naming it, if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise IntegrityError(f"{path}: not a JSON object")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an object as people read it."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a folder, one or its shards.

    Raises InputError if there are only pickles or no weights, IntegrityError for a broken index.
    """
    if (folder / INDEX).is_file():
        places = read_json(folder / INDEX).get("weight_map")
        names = set(places.values()) if isinstance(places, dict) else set()
        # A name with a path in it could lead out of the folder.
        if not names or not all(name == Path(str(name)).name for name in names):
            raise IntegrityError(f"{folder / INDEX}: its weight_map names no files of this folder")
        return [folder / name for name in sorted(names)]
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    pickles = sorted(path for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth"))
    raise InputError(
        f"{pickles[0]}: a pickle, which can run code" if pickles else f"{folder}: no {WEIGHTS}",
        expected=f"weights as safetensors: {WEIGHTS}, or {INDEX} with its shards",
        fix="save the model with save_pretrained, which writes safetensors",
    )


def check_readable(paths: Sequence[Path]) -> None:
    """Raises IntegrityError, naming it, for the first file that is no safetensors file."""
    for path in paths:
        with _opened(path):
            pass


class TensorFiles:
    """Tensors by name out of several safetensors files, each read when asked for, as fp32.

    Names in the files may lack `prefix`. Raises IntegrityError, by name, for what can't be read.
    """

    def __init__(self, paths: Sequence[Path], prefix: str) -> None:
        self._folder, self._prefix = paths[0].parent, prefix
        self._place: dict[str, Path] = {}
        for path in paths:
            with _opened(path) as file:
                self._place |= dict.fromkeys(file.keys(), path)
        self.unread = set(self._place)

    def find(self, *names: str) -> str | None:
        """The first of `names` that is there, as the file spells it."""
        spellings = [spelling for name in names for spelling in (name, self._short(name))]
        return next((name for name in spellings if name in self._place), None)

    def read(self, *names: str) -> Tensor:
        """The tensor under the first of `names` that is there."""
        found = self.find(*names)
        if found is None:
            raise IntegrityError(f"{self._folder}: no tensor {names[0]} in its safetensors files")
        self.unread.discard(found)
        with _opened(self._place[found]) as file:
            tensor: Tensor = file.get_tensor(found)
        return tensor.float()

    def _short(self, name: str) -> str:
        return name.removeprefix(self._prefix)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise IntegrityError(f"{path}: {error}") from None
