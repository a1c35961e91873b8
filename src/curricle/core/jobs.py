"""Specs of the jobs that workers run, and of the models they run on.

Frozen standard dataclasses: whatever stands in them is identity and ends in a fingerprint. Paths,
devices and worker counts don't belong here; the thread count does, since it changes a CPU's last
bits.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Shape of a decoder-only transformer; lengths in tokens, widths in units."""

    family: str
    num_layers: int
    width: int
    num_heads: int
    vocabulary_size: int
    sequence_length: int

    @property
    def size(self) -> str:
        """`<layers>x<width>`, the size's name in tables."""
        return f"{self.num_layers}x{self.width}"


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    """AdamW and its learning-rate schedule.

    The rate rises linearly over `warmup_fraction` of the steps to `learning_rate` and then follows
    `schedule` (`constant`, `linear` or `cosine`) down to `final_fraction` of it. Weight decay acts
    on matrices alone, not on biases, norms or embeddings.
    """

    learning_rate: float
    schedule: str
    warmup_fraction: float
    final_fraction: float
    weight_decay: float
    gradient_clip: float
    beta1: float = 0.9
    beta2: float = 0.95


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """One training run: `steps` batches of `batch_size` samples, read in the order given beside it.

    `seed` decides the initialisation; what the run reads is decided by its order. Checkpoints are
    kept after the given shares of the run, and always at the end.
    """

    model: ModelSpec
    optimizer: OptimizerSpec
    batch_size: int
    steps: int
    seed: int
    checkpoint_fractions: tuple[float, ...] = ()
    validation_tokens_per_domain: int
    threads: int = 1

    @property
    def samples(self) -> int:
        """Samples the run reads."""
        return self.batch_size * self.steps

    @property
    def tokens(self) -> int:
        """Tokens the run predicts."""
        return self.samples * self.model.sequence_length


@dataclass(frozen=True, kw_only=True)
class ScoringSpec:
    """Learnability of every sample: loss at the `early` share of a proxy's run minus at `late`."""

    early: float
    late: tuple[float, ...]
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class SampleStatisticsSpec:
    """Scores of a sample's tokens that need no model: its unigram entropy."""

    sequence_length: int
    vocabulary_size: int
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class PerplexitySpec:
    """Held-out loss per domain over at most `tokens_per_domain` tokens each."""

    tokens_per_domain: int
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class MultipleChoiceSpec:
    """`shots`-shot multiple choice in MMLU's protocol."""

    shots: int
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class SharpnessSpec:
    """Largest Hessian eigenvalue of the mean loss over `batch_size` held-out samples.

    Lanczos ends when the eigenvalue's relative residual is at most `tolerance`, or after
    `max_iterations` Hessian-vector products.
    """

    batch_size: int
    max_iterations: int
    tolerance: float
    seed: int
    threads: int = 1
