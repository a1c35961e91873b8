"""How far our models' logits are from Hugging Face's, in both directions, as a Markdown table.

    python benchmarks/parity.py                  # one model a family and variant, published shapes
    python benchmarks/parity.py Pythia-1B        # other presets

export: a model of ours, written by `export_model`, read by transformers. import: a model made and
saved by transformers, read by `import_model`. All parameters are shifted at random first, so that
biases and norms count. Differences are the largest over all logits, fp32, of random tokens and of
real text; generation compares greedy continuations of real text.
"""

import argparse
import platform
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers import __version__ as transformers_version

from curricle.core.jobs import ModelSpec
from curricle.core.presets import PRESETS, preset
from curricle.models.checkpoint import save_spec, save_weights
from curricle.models.decoder import Decoder, build_model
from curricle.models.huggingface import export_model, import_model
from curricle.recipes.tokenizing import train

TEXT = (Path(__file__).parents[1] / "LICENSE").read_text(encoding="utf-8")
LENGTH, GENERATED = 64, 16
DEFAULT = ("GPT2-124M", "Pythia-70M", "OPT-125M", "OPT-350M", "DataDecide-60M", "grouped Llama")
# The shape of SmolLM2-135M: three heads of keys and values, a tied head.
GROUPED = replace(
    PRESETS["DataDecide-60M"],
    num_layers=30,
    width=576,
    num_heads=9,
    num_kv_heads=3,
    feed_forward_width=1536,
    tied_head=True,
    rotary_base=1e5,
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=DEFAULT)
    names = parser.parse_args().models
    versions = f"torch {torch.__version__}, transformers {transformers_version}"
    print(f"Python {platform.python_version()}, {versions}\n")
    print("| model | family | direction | random tokens | real text | largest logit | generation |")
    print("|---|---|---|---|---|---|---|")
    for name in names:
        spec = GROUPED if name == "grouped Llama" else preset(name)
        with tempfile.TemporaryDirectory() as folder:
            for direction, pair in (("export", exported), ("import", imported)):
                row = compare(*pair(spec, Path(folder)))
                print(f"| {name} | {spec.family} | {direction} | {' | '.join(row)} |", flush=True)


def exported(spec: ModelSpec, folder: Path) -> tuple[Decoder, Any]:
    """A model of ours, and what transformers makes of its export."""
    model = build_model(spec, seed=0).eval()
    shift(model)
    checkpoint, words = folder / "checkpoint", folder / "tokenizer"
    checkpoint.mkdir()
    words.mkdir()
    save_spec(checkpoint, spec)
    save_weights(checkpoint, model.state_dict())
    (words / "tokenizer.json").write_text(train([TEXT], 1000).to_str(), encoding="utf-8")
    export_model(checkpoint, words, folder / "exported")
    theirs: Any = AutoModelForCausalLM.from_pretrained(folder / "exported")
    return model, theirs.eval()


def imported(spec: ModelSpec, folder: Path) -> tuple[Decoder, Any]:
    """What we make of a model that transformers drew and saved, and that model."""
    del spec  # the export's configuration says the same
    models: Any = AutoModelForCausalLM
    theirs = models.from_config(models.from_pretrained(folder / "exported").config).eval()
    shift(theirs)
    theirs.save_pretrained(folder / "saved", max_shard_size="200MB")
    return import_model(folder / "saved"), theirs


@torch.no_grad()
def shift(model: Any) -> None:
    """Move every parameter by a normal deviate of 0.02."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))


@torch.no_grad()
def compare(ours: Decoder, theirs: Any) -> list[str]:
    """Cells of the table: two differences, the scale they are on, and whether texts agree."""
    real = torch.tensor(train([TEXT], 1000).encode(TEXT).ids[: 2 * LENGTH]).view(2, LENGTH)
    random = torch.randint(ours.vocabulary_size, (2, LENGTH))
    cells = []
    for tokens_BT in (random, real):
        expected = theirs(input_ids=tokens_BT).logits
        difference = (ours.logits(ours.hidden(tokens_BT)) - expected).abs().max()
        cells.append(f"{difference:.1e}")
    start = real[:1, :16]
    continued = theirs.generate(
        start,
        attention_mask=torch.ones_like(start),
        max_new_tokens=GENERATED,
        do_sample=False,
        eos_token_id=None,
    )
    same = torch.equal(continued, greedy(ours, start))
    return [*cells, f"{expected.abs().max():.1f}", "equal" if same else "differs"]


def greedy(model: Decoder, tokens_1T: Tensor) -> Tensor:
    """`tokens_1T` and the most likely tokens after it."""
    for _ in range(GENERATED):
        next_1V = model.logits(model.hidden(tokens_1T)[:, -1])
        tokens_1T = torch.cat([tokens_1T, next_1V.argmax(-1, keepdim=True)], dim=1)
    return tokens_1T


if __name__ == "__main__":
    main()
