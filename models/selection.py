"""Choosing a step's samples while training: the online baselines that precomputed orders avoid.

    rho-loss   the candidates with the largest loss under the current model minus their irreducible
               loss (Mindermann et al., arXiv 2206.07137)
    entropy-v  the candidates whose unigram entropy is nearest to a percentile of all candidates'
               that rises to 1 at the share `turn` of the run and falls again (parameter-golf #737)

Inverted, rho-loss chooses the smallest differences, and entropy-v follows the V turned round: from
the highest entropy to the lowest and back, as the anti-curriculum made beforehand does. What is
farthest from the V's percentile would be both ends at once, in the middle of each of its arms.

Candidates are what the run's order names, `oversampling` batches a step. What choosing costs is
measured: seconds, with the device waited for, and operations of the model.

Shape suffixes: N candidates, B samples of a batch, T positions.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from curricle.core.jobs import SelectionSpec, TrainingSpec
from curricle.core.pacing import rising_and_falling
from curricle.kernels.sequence_entropy import sequence_entropy
from curricle.models.decoder import Decoder

Floats = npt.NDArray[np.float64]
# Candidates that are scored at once: bounds memory at any oversampling.
CANDIDATES_AT_ONCE = 64


@dataclass
class Selection:
    """The policy of a run at work; `irreducible` holds a loss for each sample of the dataset."""

    spec: TrainingSpec
    irreducible: Floats | None
    seconds: float = 0.0
    read: list[int] = field(default_factory=list)

    def choose(
        self, model: Decoder, step: int, samples_N: npt.NDArray[np.int64], windows_NT1: Tensor
    ) -> Tensor:
        """The places (B,) of the chosen candidates, on the CPU, in their turn.

        `windows_NT1` are their tokens, where the model is.
        """
        if windows_NT1.is_cuda:
            # The step before is still at work there; waiting for it is no part of choosing.
            torch.cuda.synchronize(windows_NT1.device)
        started = time.perf_counter()
        worth_N = (
            self._reducible(model, samples_N, windows_NT1)
            if self.policy.policy == "rho-loss"
            else self._nearness(step, windows_NT1)
        )
        best_B = torch.argsort(worth_N, descending=True, stable=True)[: self.spec.batch_size]
        places_B = best_B.sort().values.cpu()
        self.seconds += time.perf_counter() - started
        self.read += samples_N[places_B.numpy()].tolist()
        return places_B

    @property
    def facts(self) -> dict[str, Any]:
        """What a later attempt needs to go on."""
        return {"seconds": self.seconds, "read": self.read}

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Go on from an earlier attempt's facts."""
        self.seconds, self.read = facts["seconds"], list(facts["read"])

    @property
    def policy(self) -> SelectionSpec:
        """The settings."""
        assert self.spec.selection is not None
        return self.spec.selection

    @torch.no_grad()
    def _reducible(
        self, model: Decoder, samples_N: npt.NDArray[np.int64], windows_NT1: Tensor
    ) -> Tensor:
        """Loss under the model now, minus the irreducible loss, or its negative; (N,)."""
        assert self.irreducible is not None
        was_training = model.training
        model.eval()
        parts = torch.split(windows_NT1, CANDIDATES_AT_ONCE)
        loss_N = torch.cat([model.token_losses(part).mean(1) for part in parts]).double()
        model.train(was_training)
        loss_N -= torch.from_numpy(self.irreducible[samples_N]).to(loss_N.device)
        return -loss_N if self.policy.inverted else loss_N

    def _nearness(self, step: int, windows_NT1: Tensor) -> Tensor:
        """How near each candidate's percentile is to the step's; (N,), 0 is nearest."""
        inputs_NT = windows_NT1[:, :-1]
        entropy_N = sequence_entropy(inputs_NT, self.spec.model.vocabulary_size)
        rising_N = -entropy_N if self.policy.inverted else entropy_N
        ranks_N = torch.argsort(torch.argsort(rising_N, stable=True), stable=True)
        progress = np.array([step / self.spec.steps])
        percentile = float(rising_and_falling(progress, self.policy.turn)[0])
        # A candidate of lower rank wins a tie, as it does in the order made beforehand.
        ranks_N = ranks_N.double()
        return -(ranks_N / max(len(ranks_N) - 1, 1) - percentile).abs() - ranks_N * 1e-9
