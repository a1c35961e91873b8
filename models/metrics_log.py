"""The metrics of a job: one JSON line a point, in its output folder."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"


class MetricsLog:
    """Appends to `metrics.jsonl`; whoever forwards it to a tracking server reads it from there.

    `lines` is everything written so far, those of an interrupted attempt included. Without a folder
    (on ranks other than the first) nothing is written.
    """

    def __init__(self, folder: Path | None, lines: Sequence[str] = ()) -> None:
        self.lines = list(lines)
        self._path = folder / METRICS if folder else None
        if self._path:
            self._path.write_text("".join(self.lines), encoding="utf-8")

    def add(self, tokens: int, values: dict[str, float], read: str | None = None) -> None:
        """Log `values` after `tokens` tokens, and the digest of what was `read` up to there."""
        now = time.time_ns() // 1_000_000
        entry: dict[str, Any] = {"tokens": tokens, "time_ms": now, "values": values}
        if read is not None:
            entry["read"] = read
        self.lines.append(json.dumps(entry) + "\n")
        if self._path:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(self.lines[-1])
