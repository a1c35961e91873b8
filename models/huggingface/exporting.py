"""From one of our checkpoints to a folder that transformers loads."""

import shutil
from pathlib import Path

from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from curricle.core.errors import InputError
from curricle.core.tokenizer_file import (
    TOKENIZER,
    find_end_of_text,
    load_tokenizer,
    vocabulary_size,
)
from curricle.models.checkpoint import load_model
from curricle.models.decoder import Decoder
from curricle.models.huggingface.configs import config_of
from curricle.models.huggingface.files import (
    CONFIG,
    GENERATION,
    TOKENIZER_CONFIG,
    WEIGHTS,
    write_json,
)
from curricle.models.huggingface.weights import counterpart


def export_model(checkpoint: Path, tokenizer: Path, output: Path) -> None:
    """Write a checkpoint of ours and its tokenizer's folder as a Hugging Face model.

    `output` is made if it isn't there. Raises InputError if something is in it, or for a tokenizer
    with more tokens than the model, IntegrityError for a damaged file.
    """
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise InputError(
            f"{output}: there already, and not empty",
            expected="a folder to be made, or an empty one",
            fix="give another --output, or empty it",
        )
    model, words = load_model(checkpoint), load_tokenizer(tokenizer)
    model.check_vocabulary(vocabulary_size(words), f"tokenizer {tokenizer}")
    output.mkdir(parents=True, exist_ok=True)
    end_of_text = find_end_of_text(words)
    ends = {"bos_token_id": end_of_text, "eos_token_id": end_of_text, "pad_token_id": None}
    _write_weights(model, output / WEIGHTS)
    shutil.copyfile(tokenizer / TOKENIZER, output / TOKENIZER)
    write_json(output / TOKENIZER_CONFIG, _tokenizer_config(words, end_of_text, model))
    write_json(output / GENERATION, {**ends, "do_sample": False})
    # Last: without it a folder left half-written isn't taken for a model.
    write_json(output / CONFIG, {**config_of(model.spec), **ends})


def _write_weights(model: Decoder, path: Path) -> None:
    tensors: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        tensors |= counterpart(model.spec, name).to_theirs(tensor)
    # transformers refuses files that don't say by which framework they were written.
    save_file(tensors, path, metadata={"format": "pt"})


def _tokenizer_config(
    tokenizer: Tokenizer, end_of_text: int | None, model: Decoder
) -> dict[str, object]:
    word = None if end_of_text is None else tokenizer.id_to_token(end_of_text)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.sequence_length,
        "clean_up_tokenization_spaces": False,
        "bos_token": word,
        "eos_token": word,
    }
