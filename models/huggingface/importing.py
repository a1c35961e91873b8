"""From a Hugging Face model folder to a `Decoder`."""

from pathlib import Path

import torch

from curricle.core.errors import InputError, IntegrityError
from curricle.core.families import FAMILIES
from curricle.core.jobs import ModelSpec
from curricle.models.checkpoint import model_from_weights
from curricle.models.decoder import Decoder
from curricle.models.huggingface.configs import (
    Config,
    family_of_config,
    spec_of,
    unknown_setting,
    wrong_value,
)
from curricle.models.huggingface.files import CONFIG, TensorFiles, read_json, weight_files
from curricle.models.huggingface.weights import PREFIXES, Counterpart, counterpart, is_superfluous


def import_model(folder: Path) -> Decoder:
    """The model of a Hugging Face folder of one of the four families, fp32, in evaluation mode.

    Dropout is left out: it belongs to a training run, not to a model. Raises InputError for another
    architecture and for weights that aren't safetensors, IntegrityError for a damaged file.
    """
    config = read_config(folder)
    if reason := why_unknown(config):
        raise InputError(
            f"{folder / CONFIG}: {reason}",
            expected=f"a model of the families {', '.join(FAMILIES)}",
            fix="evaluate it as it is; training starts from these families alone",
        )
    spec = _read_spec(folder, config)
    files = TensorFiles(weight_files(folder), PREFIXES[spec.family])
    tensors = {name: _read(files, counterpart(spec, name)) for name in _names(spec)}
    if extra := sorted(name for name in files.unread if not is_superfluous(name)):
        raise IntegrityError(f"{folder}: tensor {extra[0]} has no place in a {spec.family} model")
    try:
        return model_from_weights(spec, tensors)
    except IntegrityError as error:
        raise IntegrityError(f"{folder}: weights and {CONFIG} disagree: {error}") from None


def read_config(folder: Path) -> Config:
    """The folder's configuration. Raises IntegrityError for one whose values can't be right."""
    config = read_json(folder / CONFIG)
    family = family_of_config(config)
    if family is not None and (problem := wrong_value(config, family)):
        raise IntegrityError(f"{folder / CONFIG}: {problem} is no value that a model can have")
    return config


def why_unknown(config: Config) -> str | None:
    """Why a configuration is none of our families', or None if it is one."""
    family = family_of_config(config)
    if family is None:
        return f"model_type {config.get('model_type')!r}"
    return unknown_setting(config, family)


def _read_spec(folder: Path, config: Config) -> ModelSpec:
    family = family_of_config(config)
    assert family is not None
    try:
        return spec_of(config, family)
    except InputError as error:
        raise IntegrityError(f"{folder / CONFIG}: {error}") from None


def _names(spec: ModelSpec) -> list[str]:
    with torch.device("meta"):
        return list(Decoder(spec).state_dict())


def _read(files: TensorFiles, place: Counterpart) -> torch.Tensor:
    return place.to_ours([files.read(name, *place.aliases) for name in place.names])
