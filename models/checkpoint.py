"""Checkpoints on disk: `model.json` (the spec) and safetensors; nothing that could be unpickled."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from curricle.core.errors import IntegrityError
from curricle.core.jobs import ModelSpec
from curricle.core.plain import canonical_json, from_plain
from curricle.models.decoder import Decoder

SPEC, FINAL = "model.json", "model.safetensors"


def intermediate_name(fraction: float) -> str:
    """File name of the checkpoint after `fraction` of the run."""
    return FINAL if fraction == 1.0 else f"model-at-{fraction:.4f}.safetensors"


def save_spec(folder: Path, spec: ModelSpec) -> None:
    """Write the model's shape beside its weights."""
    (folder / SPEC).write_text(canonical_json(spec) + "\n", encoding="utf-8")


def save_weights(folder: Path, model: Decoder, name: str = FINAL) -> None:
    """Write the weights, fp32, under `name`."""
    weights = {key: tensor.detach().contiguous() for key, tensor in model.state_dict().items()}
    save_file(weights, folder / name)


def load_model(folder: Path, name: str = FINAL) -> Decoder:
    """The model of a checkpoint folder, in evaluation mode, on the CPU.

    Raises IntegrityError, naming the file, if one is missing, damaged or of another shape.
    """
    try:
        spec = from_plain(ModelSpec, json.loads((folder / SPEC).read_text(encoding="utf-8")))
        with torch.device("meta"):
            model = Decoder(spec)
        model.load_state_dict(load_file(folder / name), assign=True)
    except (OSError, ValueError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise IntegrityError(f"{folder}: {name} or {SPEC} can't be loaded: {reason}") from None
    return model.requires_grad_(True).eval()
