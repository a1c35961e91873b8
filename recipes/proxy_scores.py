"""Scores out of the losses of a proxy's checkpoints; one number a sample.

    learnability      early loss - mean of the late losses (Fan & Jaggi, arXiv 2310.15389)
    final_loss        loss of the last checkpoint
    irreducible_loss  loss of the checkpoint with the lowest mean over the samples that the proxy
                      wasn't trained on (RHO-LOSS, arXiv 2206.07137: chosen by held-out loss)
    loss_variance     variance over all checkpoints

The early and the late loss are kept as well. All in nats per token.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PROXY_SCORES = (
    "learnability",
    "early_loss",
    "late_loss",
    "final_loss",
    "irreducible_loss",
    "loss_variance",
)


def proxy_scores(losses_CN: Floats, best: int) -> dict[str, Floats]:
    """Each score of N samples from their losses under C checkpoints, the early one first.

    `best` is the checkpoint that the irreducible loss is taken from; see `best_checkpoint`.
    """
    early, late = losses_CN[0], losses_CN[1:].mean(axis=0)
    return {
        "learnability": early - late,
        "early_loss": early,
        "late_loss": late,
        "final_loss": losses_CN[-1],
        "irreducible_loss": losses_CN[best],
        "loss_variance": losses_CN.var(axis=0),
    }


def best_checkpoint(losses_CN: Floats, unseen: npt.NDArray[np.int64]) -> int:
    """The checkpoint with the lowest mean loss over the samples `unseen` in training."""
    return int(losses_CN[:, unseen].mean(axis=1).argmin())


def whole_losses(losses_CHN: Floats, sequence_length: int) -> Floats:
    """Mean loss of each sample (C, N) from those of its halves, weighted by their tokens."""
    first = sequence_length // 2
    weights = np.array([first, sequence_length - first]) / sequence_length
    whole: Floats = np.einsum("chn,h->cn", losses_CHN, weights)
    return whole
