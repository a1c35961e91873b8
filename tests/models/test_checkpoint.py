import json
from pathlib import Path

import pytest

from curricle.core.errors import IntegrityError
from curricle.core.jobs import ModelSpec
from curricle.models.checkpoint import load_model, save_spec, save_weights
from curricle.models.decoder import build_model


@pytest.fixture
def folder(model_spec: ModelSpec, tmp_path: Path) -> Path:
    save_spec(tmp_path, model_spec)
    save_weights(tmp_path, build_model(model_spec, 0).state_dict())
    return tmp_path


def test_weights_of_another_shape_are_refused_by_name(folder: Path) -> None:
    spec = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**spec, "width": 32}))
    message = (
        r"model\.safetensors or model\.json can't be loaded: weights of another config: "
        r"blocks\.0\.attention\.projection\.bias is \(16,\), the config says \(32,\)$"
    )
    with pytest.raises(IntegrityError, match=message):
        load_model(folder)


def test_a_cut_file_is_refused_by_name(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(IntegrityError, match=r"model.safetensors"):
        load_model(folder)
