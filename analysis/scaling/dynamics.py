"""Along training: after how many tokens a curriculum is where the static mix ends."""

import numpy as np
import pandas as pd

from curricle.analysis.scaling.laws import Floats

CAP = 4.0
"""A curve that never gets there counts as this many times the tokens that it had."""


def tokens_to_reach(curves: pd.DataFrame, control: str) -> pd.DataFrame:
    """Columns curriculum, parameters, seed, log_ratio, reached.

    `curves` has the columns curriculum, parameters, seed, tokens, loss. The level to reach is the
    control's last loss with the same size and seed; `log_ratio` is the logarithm of the tokens to
    get there over the control's tokens. A curve that doesn't is not `reached` and stands in with
    `CAP` times its tokens, so that its mean is a lower bound.
    """
    keys = ["parameters", "seed"]
    ends = {
        key: rows.sort_values("tokens").iloc[-1]
        for key, rows in curves[curves["curriculum"] == control].groupby(keys)
    }
    found = []
    for (name, *key), rows in curves.groupby(["curriculum", *keys]):
        end = ends.get(tuple(key))
        if end is None:
            continue
        ordered = rows.sort_values("tokens")
        x, y = ordered["tokens"].to_numpy(float), ordered["loss"].to_numpy(float)
        at = _first_crossing(x, y, float(end["loss"]))
        ratio = np.log((CAP * x[-1] if at is None else at) / float(end["tokens"]))
        row = dict(zip(keys, key, strict=True))
        found.append({"curriculum": name, **row, "log_ratio": ratio, "reached": at is not None})
    return pd.DataFrame(found, columns=["curriculum", *keys, "log_ratio", "reached"])


def _first_crossing(tokens: Floats, loss: Floats, level: float) -> float | None:
    """The first number of tokens at which the loss is at the level, straight in log tokens."""
    below = np.flatnonzero(loss <= level)
    if not len(below):
        return None
    index = int(below[0])
    if index == 0:
        return float(tokens[0])
    before, after = loss[index - 1], loss[index]
    share = (before - level) / (before - after)
    logs = np.log(tokens[index - 1 : index + 1])
    return float(np.exp(logs[0] + share * (logs[1] - logs[0])))
