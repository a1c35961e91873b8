"""What the losses of documents amount to, per domain and in all, with intervals over documents."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from curricle.core.bootstrap import Group, Interval, mean_ratio

# Beyond it the perplexity is no floating-point number any more.
_LARGEST = 700.0


def summarise(rows: pa.Table) -> dict[str, Any]:
    """Loss, perplexity and bits per byte out of the rows of `document_perplexity`.

    `domains` has an entry for each domain; `overall` takes all documents together, so that each
    token counts alike; `average` is the unweighted mean over domains (of perplexity the geometric
    one), which is what the study compares. `loss` is in nats per token, `bits_per_byte` is nats
    over ln 2 and bytes of the original text. `<name>_low` and `_high` are the ends of the 95 %
    interval over documents (`core/bootstrap.py`), None where a domain has too few. Documents
    without a token are counted as `empty` and left out.
    """
    filled = rows.filter(pa.array(rows["tokens"].to_numpy() > 0))
    columns = {key: filled[key].to_numpy() for key in ("tokens", "bytes", "nats")}
    domain_D = np.asarray(filled["domain"].to_pylist())
    names = sorted(set(domain_D.tolist()))
    parts = [{key: each[domain_D == name] for key, each in columns.items()} for name in names]
    return {
        "domains": {name: _entry([part]) for name, part in zip(names, parts, strict=True)},
        "overall": _entry([columns]),
        "average": _entry(parts),
        "empty": len(rows) - len(filled),
    }


def _entry(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Numbers of one group of documents, or of the mean over several groups."""
    loss = mean_ratio([Group(part["nats"], part["tokens"]) for part in parts])
    bits = mean_ratio([Group(part["nats"] / math.log(2), part["bytes"]) for part in parts])
    entry = _with_ends("loss", loss) | _with_ends("bits_per_byte", bits)
    for end in ("", "_low", "_high"):
        nats = entry[f"loss{end}"]
        entry[f"perplexity{end}"] = None if nats is None else math.exp(min(nats, _LARGEST))
    for name in ("tokens", "bytes"):
        entry[name] = sum(int(part[name].sum()) for part in parts)
    entry["documents"] = sum(len(part["tokens"]) for part in parts)
    return entry


def _with_ends(name: str, interval: Interval) -> dict[str, Any]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
