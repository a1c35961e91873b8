"""From loss to accuracy: is a jump in accuracy more than a smooth loss seen through a curve?

Accuracy is modelled as a sigmoid of the loss, chance + (1 - chance) / (1 + exp((L - middle) /
width)): it may rise steeply with size while the loss falls smoothly. A jump in learning would show
as a step of accuracy in size *at equal loss*, or as a break of the loss itself.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

from curricle.analysis.scaling.breaks import CANNOT_TELL, NO_BREAK, find_breaks
from curricle.analysis.scaling.evidence import CONVINCING, evidence
from curricle.analysis.scaling.laws import Floats
from curricle.analysis.scaling.points import Points
from curricle.core.errors import InputError

EXPLAINED = "explained by a smooth loss"
LOSS_BREAKS = "the loss itself breaks"
BEYOND_LOSS = "a jump beyond the loss"

_LINK, _STEP = 2, 2
"""Parameters of the sigmoid; of a step: its place and its height."""


@dataclass(frozen=True, kw_only=True)
class AccuracyLink:
    """The sigmoid of the loss; `squares` is its residual sum of squares over the accuracies."""

    chance: float
    middle: float
    width: float
    squares: float

    def accuracy(self, loss: Floats) -> Floats:
        """The accuracy that goes with a loss."""
        return np.asarray(
            self.chance + (1 - self.chance) * expit((self.middle - loss) / self.width)
        )


@dataclass(frozen=True, kw_only=True)
class JumpFinding:
    """What a rise in accuracy is, with the reason; `step` is the size of the best-placed step.

    `step_evidence` is the corrected BIC by which that step is preferred to none.
    """

    verdict: str
    reason: str
    link: AccuracyLink
    step: float
    step_evidence: float


def fit_link(loss: Floats, accuracy: Floats, chance: float) -> AccuracyLink:
    """Least-squares fit of the sigmoid to accuracies in [0, 1].

    Raises InputError for accuracies outside, and for fewer than four points.
    """
    if accuracy.min() < 0 or accuracy.max() > 1 or not 0 <= chance < 1:
        raise InputError(
            f"accuracies from {accuracy.min():.3g} to {accuracy.max():.3g}, chance {chance:.3g}",
            expected="shares from 0 to 1, and chance below 1",
            fix="divide percentages by 100",
        )
    if len(loss) <= _LINK + 1:
        raise InputError(
            f"{len(loss)} accuracies", expected="at least 4", fix="evaluate more checkpoints"
        )
    theta, squares = _fit_sigmoid(loss, accuracy, chance, None)
    return AccuracyLink(
        chance=chance, middle=theta[0], width=float(np.exp(theta[1])), squares=squares
    )


def explain_jump(x: Floats, loss: Floats, accuracy: Floats, chance: float) -> JumpFinding:
    """Judge the accuracies of runs of size `x` (N) against their losses.

    Raises InputError as `fit_link` and `find_breaks` do.
    """
    link = fit_link(loss, accuracy, chance)
    step, with_step = _best_step(x, loss, accuracy, chance)
    count = len(x)
    gain = evidence(count, _LINK + _STEP, _STEP, link.squares, with_step)
    flat = float(((accuracy - accuracy.mean()) ** 2).sum())
    follows = evidence(count, _LINK, 1, flat, link.squares) > CONVINCING
    verdict, reason = _judge(x, loss, step, gain, follows)
    return JumpFinding(verdict=verdict, reason=reason, link=link, step=step, step_evidence=gain)


def _judge(x: Floats, loss: Floats, step: float, gain: float, follows: bool) -> tuple[str, str]:
    if gain > CONVINCING:
        return BEYOND_LOSS, f"at equal loss, accuracy differs from size {step:.3g} on"
    if not follows:
        return CANNOT_TELL, "accuracy doesn't follow the loss visibly"
    finding = find_breaks(Points({"x": x}, loss), bootstrap=0)
    if finding.verdict == NO_BREAK:
        return EXPLAINED, "accuracy is one sigmoid of a loss that has no break"
    if finding.verdict == CANNOT_TELL:
        return CANNOT_TELL, f"accuracy is a sigmoid of the loss, but of the loss: {finding.reason}"
    return LOSS_BREAKS, f"accuracy is one sigmoid of the loss, and that has a {finding.verdict}"


def _best_step(x: Floats, loss: Floats, accuracy: Floats, chance: float) -> tuple[float, float]:
    """The size from which on a step in accuracy fits best, and the sum of squares with it."""
    sizes = np.unique(x)
    if len(sizes) < _LINK + _STEP:
        raise InputError(
            f"{len(sizes)} sizes", expected="at least 4 sizes", fix="add runs at other sizes"
        )
    found = [
        (_fit_sigmoid(loss, accuracy, chance, (x >= place).astype(float))[1], float(place))
        for place in sizes[2:-1]
    ]
    squares, place = min(found)
    return place, squares


def _fit_sigmoid(
    loss: Floats, accuracy: Floats, chance: float, step: Floats | None
) -> tuple[Floats, float]:
    """Parameters (middle, log width and perhaps the step's height) with their sum of squares."""

    def residual(theta: Floats) -> Floats:
        logit = (theta[0] - loss) / np.exp(theta[1])
        if step is not None:
            logit = logit + theta[2] * step
        return np.asarray(chance + (1 - chance) * expit(logit) - accuracy)

    spread = max(float(np.ptp(loss)), 1e-6)
    extra = [] if step is None else [0.0]
    fits = [
        least_squares(residual, [middle, np.log(spread * share), *extra], max_nfev=100)
        for middle in np.quantile(loss, [0.1, 0.5, 0.8])
        for share in (0.05, 0.5)
    ]
    best = min(fits, key=lambda fit: float(fit.cost))
    return np.asarray(best.x), 2 * float(best.cost)
