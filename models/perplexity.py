"""Perplexity and bits per byte of a checkpoint, per domain, on held-out data."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from curricle.core.jobs import PerplexitySpec
from curricle.core.token_dataset import TokenDataset
from curricle.core.tokenizer_file import load_tokenizer
from curricle.models.checkpoint import load_model
from curricle.models.flops import forward_flops_per_token
from curricle.models.text import token_byte_lengths
from curricle.models.validation import select_samples, validate

RESULT = "perplexity.json"


def perplexity(spec: PerplexitySpec, inputs: dict[str, Path], output: Path) -> dict[str, Any]:
    """Measure `inputs["checkpoint"]` on `inputs["validation"]`; `inputs["tokenizer"]` counts bytes.

    Per domain: loss in nats per token, perplexity, and bits per byte of the original text,
    `(loss / ln 2) * tokens / bytes` over the very tokens that were predicted.
    """
    model = load_model(inputs["checkpoint"])
    dataset = TokenDataset(inputs["validation"], model.spec.sequence_length)
    domains = validate(model, dataset, spec.tokens_per_domain, output)
    lengths = token_byte_lengths(load_tokenizer(inputs["tokenizer"]))
    bytes_of = _bytes_per_domain(dataset, spec.tokens_per_domain, lengths)
    length = dataset.sequence_length
    result = {
        name: {
            "loss": entry["loss"],
            "perplexity": math.exp(entry["loss"]),
            "bits_per_byte": entry["loss"]
            / math.log(2)
            * entry["samples"]
            * length
            / bytes_of[name],
            "tokens": entry["samples"] * length,
            "bytes": bytes_of[name],
        }
        for name, entry in domains.items()
    }
    (output / RESULT).write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    tokens = sum(int(entry["tokens"]) for entry in result.values())
    return {"domains": result, "flops": tokens * forward_flops_per_token(model.spec)}


def _bytes_per_domain(
    dataset: TokenDataset, tokens_per_domain: int, lengths: np.ndarray[Any, Any]
) -> dict[str, int]:
    samples = select_samples(dataset, tokens_per_domain)
    domains = dataset.domain_of_samples()[samples]
    sizes = lengths[dataset.read(samples)[:, 1:]].sum(axis=1)
    return {name: int(sizes[domains == i].sum()) for i, name in enumerate(dataset.domains)}
