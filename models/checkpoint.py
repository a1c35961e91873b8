"""Checkpoints on disk: `model.json` (the spec) and safetensors; nothing that could be unpickled."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from curricle.core.errors import IntegrityError
from curricle.core.jobs import ModelSpec
from curricle.core.plain import canonical_json, from_plain
from curricle.models.decoder import Decoder

SPEC, FINAL = "model.json", "model.safetensors"
# The last weights of a run whose final ones are an average.
LAST = "model-last.safetensors"


def checkpoint_name(tokens: int) -> str:
    """File name of the checkpoint after `tokens` tokens."""
    return f"model-at-{tokens}.safetensors"


def save_spec(folder: Path, spec: ModelSpec) -> None:
    """Write the model's shape beside its weights."""
    (folder / SPEC).write_text(canonical_json(spec) + "\n", encoding="utf-8")


def save_weights(folder: Path, weights: Mapping[str, Tensor], name: str = FINAL) -> None:
    """Write parameters by name, fp32, under `name`."""
    contiguous = {key: tensor.detach().contiguous() for key, tensor in weights.items()}
    save_file(contiguous, folder / name)


def model_from_weights(spec: ModelSpec, weights: Mapping[str, Tensor]) -> Decoder:
    """A model in evaluation mode that holds these very tensors.

    Raises IntegrityError, naming the first, if names or shapes aren't those of the spec.
    """
    with torch.device("meta"):
        model = Decoder(spec)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise IntegrityError(
                f"weights of another config: {name} is {found.get(name, 'missing')}, the config "
                f"says {expected.get(name, 'there is none')}"
            )
    model.load_state_dict(weights, assign=True)
    return model.requires_grad_(True).eval()


def load_model(folder: Path, name: str = FINAL) -> Decoder:
    """The model of a checkpoint folder, in evaluation mode, on the CPU.

    Raises IntegrityError, naming the file, if one is missing, damaged or of another shape.
    """
    try:
        spec = from_plain(ModelSpec, json.loads((folder / SPEC).read_text(encoding="utf-8")))
        return model_from_weights(spec, load_file(folder / name))
    except Exception as error:  # a damaged file can bring up anything
        reason = " ".join(str(error).split())
        raise IntegrityError(f"{folder}: {name} or {SPEC} can't be loaded: {reason}") from None
