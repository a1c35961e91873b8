"""Power laws of several curricula side by side: one irreducible term or several, which exponent.

All curricula are fitted together by least squares on the log loss. They share E unless two judges
are against it: the extra-sum-of-squares F test, and the error of predicting the largest sizes from
the others. With one E the exponents are compared on equal terms; separate ones trade a lower floor
for a slower decline.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from curricle.analysis.scaling.bootstrap import percentile_interval, residual_bootstrap
from curricle.analysis.scaling.evidence import extra_squares_p_value
from curricle.analysis.scaling.fitting import (
    CONFIDENCE,
    check_draws,
    largest_sizes,
    named_intervals,
    root_mean_square,
)
from curricle.analysis.scaling.laws import Floats, grouped_power_law, power_law, power_starts
from curricle.analysis.scaling.points import Points, check_enough, power_points
from curricle.analysis.scaling.solver import minimise, search
from curricle.analysis.verdicts import Verdict
from curricle.core.errors import InputError
from curricle.core.seeds import generator

_SEPARATE = 0.05
"""Level of the test that makes irreducible terms separate."""


@dataclass(frozen=True, kw_only=True)
class ExponentComparison:
    """A curriculum's exponent minus the control's; `better` is a surely faster decline."""

    curriculum: str
    exponent: float
    interval: tuple[float, float] | None
    difference: float
    difference_interval: tuple[float, float] | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class CurriculaFit:
    """The joint fit.

    - `shared`: whether the parameters are those of the fit with one E; `p_value`: the F test's that
      there is one; `agreed`: whether the held-out sizes say the same as the test;
    - `held_out_shared`, `held_out_separate`: root mean square error of the log loss of the largest
      sizes, predicted without them, per curriculum; None where too few points would be left;
    - `parameters`, `intervals`: `A[name]`, `alpha[name]`, and `E` or `E[name]`.
    """

    curricula: tuple[str, ...]
    control: str
    shared: bool
    agreed: bool
    p_value: float
    parameters: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    exponents: tuple[ExponentComparison, ...]
    held_out_shared: dict[str, float] | None
    held_out_separate: dict[str, float] | None
    residual: float
    confidence: float


@dataclass(frozen=True)
class _Joint:
    """All curricula's points, with each point's curriculum as an index into `labels`."""

    points: Points
    group: npt.NDArray[np.int64]
    labels: tuple[str, ...]

    def fit(self, shared: bool) -> tuple[Floats, float]:
        """Optimum (P) and residual sum of squares, started from each curriculum's own fit."""
        x, log_loss = self.points.inputs["x"], self.points.log_loss
        law = grouped_power_law(x, self.group, self.labels, shared=shared)
        start = self._alone
        floors = start[:, 1]
        candidates = [*floors, floors.mean()] if shared else [floors]
        starts = [np.r_[start[:, 0], start[:, 2], np.atleast_1d(floor)] for floor in candidates]
        found = minimise(law, log_loss, np.array(starts))
        return found.theta[found.best], 2 * float(found.objective[found.best])

    def where(self, kept: npt.NDArray[np.bool_]) -> "_Joint":
        return _Joint(self.points.where(kept), self.group[kept], self.labels)

    @functools.cached_property
    def _alone(self) -> Floats:
        """Each curriculum's own power law (G x 3)."""
        found = []
        for index in range(len(self.labels)):
            own = self.points.where(self.group == index)
            x = own.inputs["x"]
            solution = search(power_law(x), own.log_loss, power_starts(x, own.loss))
            found.append(solution.theta[solution.best])
        return np.array(found)


def compare_curricula(
    table: pd.DataFrame,
    control: str,
    *,
    x: str = "parameters",
    y: str = "loss",
    bootstrap: int = 1000,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> CurriculaFit:
    """Fit and compare the power laws of the column `curriculum` of `table`.

    Differences of exponents are simultaneous over the curricula (Bonferroni). Raises InputError for
    a missing control, fewer than two curricula, too few points or sizes of one, bad cells.
    """
    check_draws(bootstrap)
    joint = _joint(table, control, x, y)
    one, several = joint.fit(shared=True), joint.fit(shared=False)
    groups = len(joint.labels)
    p_value = extra_squares_p_value(len(joint.points), 3 * groups, groups - 1, one[1], several[1])
    held_out = {shared: _held_out(joint, shared=shared) for shared in (True, False)}
    accepted, predicts = p_value >= _SEPARATE, _predicts_better(held_out)
    shared = accepted or predicts
    theta, squares = one if shared else several
    law = grouped_power_law(joint.points.inputs["x"], joint.group, joint.labels, shared=shared)
    random = generator(seed, "scaling", "curricula")
    draws = law.natural(
        residual_bootstrap(law, joint.points.log_loss, theta[None], bootstrap, random)
    )
    parameters = dict(zip(law.names, map(float, law.natural(theta[None])[0]), strict=True))
    exponents = slice(groups, 2 * groups)
    return CurriculaFit(
        curricula=joint.labels,
        control=control,
        shared=shared,
        agreed=accepted == predicts,
        p_value=p_value,
        parameters=parameters,
        intervals=named_intervals(law.names, draws, confidence),
        exponents=_exponents(
            joint.labels, control, theta[exponents], draws[:, exponents], confidence
        ),
        held_out_shared=held_out[True],
        held_out_separate=held_out[False],
        residual=float(np.sqrt(squares / len(joint.points))),
        confidence=confidence,
    )


def _predicts_better(held_out: Mapping[bool, Mapping[str, float] | None]) -> bool:
    """Whether the fit with one E predicts the held-out sizes better than the one with several."""
    one, several = held_out[True], held_out[False]
    if one is None or several is None:
        return False
    squares = [sum(error**2 for error in each.values()) for each in (one, several)]
    return squares[0] < squares[1]


def _joint(table: pd.DataFrame, control: str, x: str, y: str) -> _Joint:
    if "curriculum" not in table.columns:
        raise InputError(
            "no column 'curriculum'", expected="one that names each row's", fix="add it"
        )
    names = table["curriculum"].astype(str)
    labels = tuple(dict.fromkeys(names))
    if control not in labels or len(labels) < 2:
        raise InputError(
            f"curricula {', '.join(labels)}",
            expected=f"the control {control!r} and another one",
            fix="add the runs, or name another control",
        )
    points = power_points(table, x, y)
    group = np.array([labels.index(name) for name in names], dtype=np.int64)
    for index in range(len(labels)):
        own = points.where(group == index)
        check_enough(own, 3, own.inputs["x"], 3)
    return _Joint(points, group, labels)


def _exponents(
    labels: Sequence[str], control: str, alpha_G: Floats, draws_BG: Floats, confidence: float
) -> tuple[ExponentComparison, ...]:
    base = labels.index(control)
    joint = 1 - (1 - confidence) / (len(labels) - 1)
    found = []
    for index, name in enumerate(labels):
        interval = _ends(draws_BG[:, index], confidence)
        difference = _ends(draws_BG[:, index] - draws_BG[:, base], joint)
        found.append(
            ExponentComparison(
                curriculum=name,
                exponent=float(alpha_G[index]),
                interval=interval,
                difference=float(alpha_G[index] - alpha_G[base]),
                difference_interval=difference,
                verdict="baseline" if index == base else _verdict(difference),
            )
        )
    return tuple(found)


def _ends(draws_B: Floats, confidence: float) -> tuple[float, float] | None:
    if not len(draws_B):
        return None
    low, high = percentile_interval(draws_B[:, None], confidence)[:, 0]
    return float(low), float(high)


def _verdict(ends: tuple[float, float] | None) -> Verdict:
    if ends is None or ends[0] <= 0 <= ends[1]:
        return "cannot tell"
    return "better" if ends[0] > 0 else "worse"


def _held_out(joint: _Joint, *, shared: bool) -> dict[str, float] | None:
    """Error of each curriculum's largest sizes, as predicted by a fit without them."""
    out = largest_sizes(joint.points.inputs["x"])
    rest, left = joint.where(~out), joint.where(out)
    sizes = [
        len(np.unique(rest.points.inputs["x"][rest.group == g])) for g in range(len(joint.labels))
    ]
    if min(sizes) < 4 or not set(range(len(joint.labels))) <= set(left.group):
        return None
    theta, _ = rest.fit(shared)
    law = grouped_power_law(left.points.inputs["x"], left.group, left.labels, shared=shared)
    error = law.log_loss(theta[None])[0][0] - left.points.log_loss
    return {
        label: root_mean_square(error[left.group == index])
        for index, label in enumerate(joint.labels)
    }
