"""Which curriculum for which size and budget: the progression model.

The logarithm of a curriculum's loss over the static mix's (so about a relative difference) is taken
for a straight line in the logarithm of the size, at every number of tokens. How it changes with the
tokens is taken from the runs alone: a sorted part that is most of a small budget and little of a
large one makes it fall by orders of magnitude, which no line follows. Seeds are paired and
averaged; each size's differences are interpolated between its budgets, in the logarithm of the
tokens; a line through these over the sizes is the prediction. Its interval is Student's for a
further size, trained with as many seeds. Leaving each size out in turn says how good that is.

Shape suffixes: G sizes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from curricle.analysis.scaling.differences import paired
from curricle.analysis.scaling.fitting import CONFIDENCE
from curricle.analysis.scaling.laws import Floats
from curricle.core.errors import InputError

FEWEST_SIZES = 4
"""A line over three sizes leaves one degree of freedom, whose interval says nothing."""
WHOLE_STEPS = 0.02
"""Budgets are cut to whole steps: so far apart, as a share, they may lie and still be the same."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The expected log ratio of a curriculum's loss to the static mix's, with its interval."""

    curriculum: str
    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """For a size and a number of tokens: what to train under.

    `curriculum` is the one with the lowest expected loss if it is surely below the static mix's,
    else the static mix. `best` is the lowest prediction in any case; `others` are all. `expected`
    is the expected loss of the recommended one where the static mix's is known, in nats, with the
    interval that the ratio alone gives it. `inside` is whether size and tokens lie in the range
    that was run; beyond a size's budgets its difference is taken to stay what it is at the nearest.
    """

    parameters: float
    tokens: float
    curriculum: str
    best: Prediction
    others: tuple[Prediction, ...]
    static_loss: float | None
    expected: tuple[float, float, float] | None
    inside: bool


@dataclass(frozen=True, kw_only=True)
class LeftOutSize:
    """A size that the model hadn't seen: what was predicted and what was found, at one budget."""

    curriculum: str
    parameters: float
    tokens: float
    predicted: Prediction
    found: float

    @property
    def covered(self) -> bool:
        """Whether the interval held what was found."""
        return self.predicted.low <= self.found <= self.predicted.high


@dataclass(frozen=True)
class ProgressionModel:
    """Differences to the control by curriculum, size and tokens (mean over seeds)."""

    control: str
    table: pd.DataFrame
    confidence: float

    @property
    def curricula(self) -> tuple[str, ...]:
        """All but the control."""
        return tuple(dict.fromkeys(self.table["curriculum"]))

    def predict(self, curriculum: str, parameters: float, tokens: float) -> Prediction:
        """The expected log ratio at a size and a number of tokens."""
        rows = self.table[self.table["curriculum"] == curriculum]
        size_G, value_G = _at_tokens(rows, tokens)
        mean, margin = _line_at(np.log(size_G), value_G, np.log(parameters), self._joint)
        return Prediction(curriculum=curriculum, mean=mean, low=mean - margin, high=mean + margin)

    def recommend(
        self, parameters: float, tokens: float, static_loss: float | None = None
    ) -> Recommendation:
        """The curriculum for a size and a budget."""
        others = tuple(self.predict(name, parameters, tokens) for name in self.curricula)
        best = min(others, key=lambda one: one.mean)
        sure = best.high < 0
        expected = None
        if static_loss is not None:
            shift = np.exp([best.mean, best.low, best.high]) if sure else np.ones(3)
            low, middle, high = sorted((shift * static_loss).tolist())
            expected = (middle, low, high)
        return Recommendation(
            parameters=parameters,
            tokens=tokens,
            curriculum=best.curriculum if sure else self.control,
            best=best,
            others=others,
            static_loss=static_loss,
            expected=expected,
            inside=self._is_inside(parameters, tokens),
        )

    def leave_sizes_out(self) -> tuple[LeftOutSize, ...]:
        """Each size and budget as predicted by all other sizes; none with too few sizes."""
        found = []
        for parameters in np.unique(self.table["parameters"]):
            rest = self.table[self.table["parameters"] != parameters]
            if rest["parameters"].nunique() < FEWEST_SIZES:
                return ()
            model = ProgressionModel(self.control, rest, self.confidence)
            for row in self.table[self.table["parameters"] == parameters].itertuples():
                predicted = model.predict(str(row.curriculum), float(parameters), float(row.tokens))
                found.append(
                    LeftOutSize(
                        curriculum=str(row.curriculum),
                        parameters=float(parameters),
                        tokens=float(row.tokens),
                        predicted=predicted,
                        found=float(row.difference),
                    )
                )
        return tuple(found)

    @property
    def _joint(self) -> float:
        """The confidence of each interval, so that all curricula's hold together."""
        return 1 - (1 - self.confidence) / len(self.curricula)

    def _is_inside(self, parameters: float, tokens: float) -> bool:
        size = self.table["parameters"]
        reached = _reaching(self.table, tokens)["parameters"].nunique()
        return bool(size.min() <= parameters <= size.max() and reached >= FEWEST_SIZES)


def progression_model(
    runs: pd.DataFrame, control: str, *, confidence: float = CONFIDENCE
) -> ProgressionModel:
    """The model of `runs`: columns curriculum, parameters, budget, tokens, seed, loss.

    Raises InputError for fewer than four sizes, or no curriculum beside the control.
    """
    if runs["parameters"].nunique() < FEWEST_SIZES or set(runs["curriculum"]) == {control}:
        raise InputError(
            f"{runs['parameters'].nunique()} sizes, curricula {', '.join(set(runs['curriculum']))}",
            expected=f"at least {FEWEST_SIZES} sizes, and a curriculum beside {control}",
            fix="run more of the ladder",
        )
    parts = []
    for _, rows in runs.assign(log_loss=np.log(runs["loss"])).groupby("budget"):
        tokens = rows.drop_duplicates("parameters").set_index("parameters")["tokens"]
        means = paired(rows, "log_loss", control).groupby(["curriculum", "parameters"])
        part = means["difference"].mean().reset_index()
        parts.append(part.assign(tokens=tokens.reindex(part["parameters"]).to_numpy()))
    return ProgressionModel(control, pd.concat(parts, ignore_index=True), confidence)


def left_out_error(found: Sequence[LeftOutSize]) -> Mapping[str, tuple[float, float]]:
    """For each curriculum the root mean square error, and the share of intervals that held."""
    names = dict.fromkeys(one.curriculum for one in found)
    result = {}
    for name in names:
        mine = [one for one in found if one.curriculum == name]
        error = np.sqrt(np.mean([(one.predicted.mean - one.found) ** 2 for one in mine]))
        result[name] = (float(error), float(np.mean([one.covered for one in mine])))
    return result


def _reaching(rows: pd.DataFrame, tokens: float) -> pd.DataFrame:
    """The rows of sizes with budgets on both sides of `tokens`, but for whole steps."""
    budgets = rows.groupby("parameters")["tokens"]
    low, high = budgets.transform("min"), budgets.transform("max")
    return rows[(low <= tokens * (1 + WHOLE_STEPS)) & (high >= tokens * (1 - WHOLE_STEPS))]


def _at_tokens(rows: pd.DataFrame, tokens: float) -> tuple[Floats, Floats]:
    """Sizes (G) and their differences (G) at `tokens`, each between the two nearest budgets.

    Of sizes whose budgets don't reach so far the nearest one's stands in, if too few do.
    """
    reaching = _reaching(rows, tokens)
    used = reaching if reaching["parameters"].nunique() >= FEWEST_SIZES else rows
    sizes, values = [], []
    for size, mine in used.sort_values("tokens").groupby("parameters"):
        sizes.append(float(str(size)))
        values.append(float(np.interp(np.log(tokens), np.log(mine["tokens"]), mine["difference"])))
    return np.array(sizes), np.array(values)


def _line_at(x_G: Floats, y_G: Floats, at: float, confidence: float) -> tuple[float, float]:
    """A straight line through the points at `at`, and half its prediction interval there."""
    centre, freedom = x_G.mean(), len(x_G) - 2
    spread = float(((x_G - centre) ** 2).sum())
    slope = float(((x_G - centre) * y_G).sum()) / spread
    residual_G = y_G - y_G.mean() - slope * (x_G - centre)
    noise = np.sqrt(float((residual_G**2).sum()) / freedom)
    wide = np.sqrt(1 + 1 / len(x_G) + (at - centre) ** 2 / spread)
    critical = float(student.ppf((1 + confidence) / 2, freedom))
    return float(y_G.mean() + slope * (at - centre)), float(critical * noise * wide)
