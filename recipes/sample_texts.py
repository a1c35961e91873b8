"""Statistics of the text that a sample shows, whole and by halves."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from curricle.core.token_dataset import TokenDataset
from curricle.core.tokenizer_file import load_tokenizer
from curricle.recipes.text_statistics import measure_texts

ROWS_AT_ONCE = 1024

Floats = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.int64]


def sample_text_statistics(
    folder: Path, tokenizer: Path, sequence_length: int, names: tuple[str, ...]
) -> dict[str, Floats]:
    """Each named statistic of each sample's text, its first half and its second: (3, samples).

    `folder` holds a dataset, `tokenizer` its tokenizer. A half that begins inside a character
    begins with a replacement character; the end-of-text token is no text.
    """
    dataset = TokenDataset(folder, sequence_length)
    loaded = load_tokenizer(tokenizer)
    end_of_text, middle = int(dataset.manifest["end_of_text"]), sequence_length // 2
    found = {name: np.empty((3, len(dataset))) for name in names}
    for start in range(0, len(dataset), ROWS_AT_ONCE):
        stop = min(start + ROWS_AT_ONCE, len(dataset))
        windows = dataset.read(np.arange(start, stop, dtype=np.int64))[:, :-1]
        for row, part in enumerate((windows, windows[:, :middle], windows[:, middle:])):
            texts = _texts(loaded, part, end_of_text)
            for name, values in measure_texts(texts, names).items():
                found[name][row, start:stop] = values
    return found


def _texts(tokenizer: Tokenizer, windows: Tokens, end_of_text: int) -> list[str]:
    tokens = [[token for token in row if token != end_of_text] for row in windows.tolist()]
    return list(tokenizer.decode_batch(tokens, skip_special_tokens=False))
