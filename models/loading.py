"""Language models and their tokenizers out of any folder that holds one.

Only safetensors and JSON are read: nothing is unpickled, and no code of a model's is run.
"""

from pathlib import Path

from tokenizers import Tokenizer

from curricle.core.errors import InputError, IntegrityError
from curricle.core.tokenizer_file import TOKENIZER, load_tokenizer
from curricle.models.checkpoint import SPEC, load_model
from curricle.models.language_model import LanguageModel

__all__ = ["LanguageModel", "load_language_model", "load_model_tokenizer"]

CONFIG = "config.json"


def load_language_model(path: Path) -> LanguageModel:
    """The model in `path`, fp32, in evaluation mode, on the CPU.

    `path` is one of our checkpoint folders, a Hugging Face folder of a family that `Decoder` knows,
    or one of any other causal language model, which then runs in Hugging Face's own code. Raises
    InputError for a folder that is none of these, IntegrityError for a damaged file, by name.
    """
    if (path / SPEC).is_file():
        return load_model(path)
    if (path / CONFIG).is_file():
        from curricle.models.huggingface import load_hugging_face

        return load_hugging_face(path)
    raise InputError(
        f"{path}: neither {SPEC} nor {CONFIG}",
        expected="a checkpoint of curricle's, or a Hugging Face model folder",
        fix="correct the path",
    )


def load_model_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a model's folder: `tokenizer.json`, or what transformers makes of the rest.

    Raises InputError if there is none, IntegrityError if its file can't be read.
    """
    if (path / TOKENIZER).is_file():
        return load_tokenizer(path)
    if not any((path / name).is_file() for name in ("vocab.json", "tokenizer.model", "vocab.txt")):
        raise InputError(
            f"{path}: no {TOKENIZER} and no vocabulary",
            expected=f"{TOKENIZER}, or vocab.json with merges.txt",
            fix="give the folder of the model's tokenizer",
        )
    from transformers import AutoTokenizer

    try:
        converted = AutoTokenizer.from_pretrained(
            str(path), local_files_only=True, trust_remote_code=False
        )
        tokenizer = Tokenizer.from_str(converted.backend_tokenizer.to_str())
    except Exception as error:  # transformers and tokenizers raise whatever comes up
        reason = " ".join(str(error).split())
        raise IntegrityError(f"{path}: its tokenizer can't be loaded: {reason}") from None
    # Text that spells out a special token is text.
    tokenizer.encode_special_tokens = True
    return tokenizer
