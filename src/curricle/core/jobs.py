"""Specs of the jobs that workers run, and of the models they run on.

Frozen standard dataclasses: whatever stands in them is identity and ends in a fingerprint. Paths,
devices and worker counts don't belong here; the thread count does, since it changes a CPU's last
bits.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Shape of a decoder-only transformer; lengths in tokens, widths in units.

    What all members of a family share stands in `core.families`; None means the family's own rule.
    `num_kv_heads` below `num_heads` groups the query heads (llama). `embedding_width` other than
    `width` puts a projection between embeddings and layers, `post_norm` the norms behind the
    residual sums (both as in OPT-350M). `dropout` acts in training alone. Fresh matrices have
    `initial_scale` times the family's standard deviation.
    """

    family: str
    num_layers: int
    width: int
    num_heads: int
    vocabulary_size: int
    sequence_length: int
    feed_forward_width: int | None = None
    num_kv_heads: int | None = None
    embedding_width: int | None = None
    tied_head: bool | None = None
    post_norm: bool = False
    norm_epsilon: float = 1e-5
    rotary_base: float = 10_000.0
    dropout: float = 0.0
    initial_scale: float = 1.0

    @property
    def size(self) -> str:
        """`<layers>x<width>`, the size's name in tables."""
        return f"{self.num_layers}x{self.width}"


@dataclass(frozen=True, kw_only=True)
class OptimizerSpec:
    """AdamW and its learning-rate schedule.

    The rate rises linearly over `warmup_fraction` of the steps to `learning_rate` and then follows
    `schedule` (`constant`, `linear`, `cosine` or `wsd`) down to `final_fraction` of it. `wsd` stays
    at the peak and falls linearly over the last `decay_fraction` of the steps. Weight decay acts on
    matrices; on norms, biases and embeddings only with `decay_all`. `gradient_clip` is the largest
    norm of the whole gradient.
    """

    learning_rate: float
    schedule: str
    warmup_fraction: float
    final_fraction: float
    weight_decay: float
    gradient_clip: float
    decay_fraction: float = 0.2
    decay_all: bool = False
    beta1: float = 0.9
    beta2: float = 0.95


@dataclass(frozen=True, kw_only=True)
class AveragingSpec:
    """Which weights a run ends with: an average in place of the last ones.

    `ema`: an exponential moving average, `decay` a step. `last`: the mean of the last `checkpoints`
    checkpoints, `every` steps apart, the final weights among them.
    """

    method: str
    decay: float = 0.999
    checkpoints: int = 6
    every: int = 1


@dataclass(frozen=True, kw_only=True)
class SelectionSpec:
    """Which of a step's candidates are trained on; see `models/selection.py`.

    `policy` is `rho-loss` or `entropy-v`; a step has `oversampling` batches of candidates. `turn`
    is the share of the run at which `entropy-v` reaches the highest entropy. `inverted` is the
    anti-curriculum: the smallest difference for `rho-loss`, the V turned round for `entropy-v`.
    """

    policy: str
    oversampling: int
    turn: float = 0.45
    inverted: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainingSpec:
    """One training run: `steps` batches of `batch_size` samples, read in the order given beside it.

    `seed` decides the initialisation and, apart from it, the dropout; what the run reads is decided
    by its order. An update's gradient is accumulated over micro-batches of `micro_batch_size`
    samples (default: the batch in one). `precision` is `fp32`, or `bf16` for products in bf16 with
    fp32 master weights. Checkpoints are kept, and validation losses measured, after the given
    numbers of tokens, and always at the end. Two losses in a row more than `loss_spike` nats above
    the median of the steps before them end the run, unless that is None: an order may turn to
    another kind of text for good, and a model sure of the first one then loses as much. With a
    `selection` the order names candidates.

    The full state is kept after `states_at` tokens, for other runs to branch off. A run with
    `start_at` is such a branch: it begins with the state after so many tokens of an earlier run,
    and otherwise is the run that it would be from the beginning.
    """

    model: ModelSpec
    optimizer: OptimizerSpec
    batch_size: int
    steps: int
    seed: int
    micro_batch_size: int | None = None
    precision: str = "fp32"
    compile: bool = False
    averaging: AveragingSpec | None = None
    checkpoints_at: tuple[int, ...] = ()
    validations_at: tuple[int, ...] = ()
    states_at: tuple[int, ...] = ()
    start_at: int = 0
    validation_tokens_per_domain: int
    loss_spike: float | None = 4.0
    selection: SelectionSpec | None = None
    threads: int = 1

    @property
    def samples(self) -> int:
        """Samples the run is trained on."""
        return self.batch_size * self.steps

    @property
    def candidates_per_step(self) -> int:
        """Samples of the order that a step reads: its batch, or what that is chosen from."""
        return self.batch_size * (self.selection.oversampling if self.selection else 1)

    @property
    def tokens_per_step(self) -> int:
        """Tokens an update is made from."""
        return self.batch_size * self.model.sequence_length

    @property
    def tokens(self) -> int:
        """Tokens the run predicts, those before its start included."""
        return self.steps * self.tokens_per_step


@dataclass(frozen=True, kw_only=True)
class ScoringSpec:
    """The checkpoints of a proxy that score samples: after `early` tokens and each of `late`.

    See `recipes/proxy_scores.py` for the scores made of their losses.
    """

    early: int
    late: tuple[int, ...]
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class ScoringPart:
    """The part of a scoring that one job does: `samples` of the dataset from `start` on."""

    scoring: ScoringSpec
    sequence_length: int
    start: int
    samples: int

    @property
    def threads(self) -> int:
        """Those of the whole scoring."""
        return self.scoring.threads


@dataclass(frozen=True, kw_only=True)
class SampleStatisticsSpec:
    """Scores of a sample's tokens that need no trained model; see `models/sample_statistics.py`.

    `names` are those wanted. `seed` decides which training text the Moore-Lewis difference compares
    with.
    """

    sequence_length: int
    vocabulary_size: int
    names: tuple[str, ...] = ("unigram_entropy",)
    seed: int = 0
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class PerplexitySpec:
    """Perplexity of held-out documents, at most `tokens_per_domain` tokens of each domain.

    `stride` is how many tokens each window predicts once a document is longer than the model's
    context; None: as many as the context, so that windows don't overlap. With `weight_bits` the
    model's matrices are rounded to so many bits first.
    """

    tokens_per_domain: int
    stride: int | None = None
    weight_bits: int | None = None
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class MultipleChoiceSpec:
    """`shots`-shot multiple choice in MMLU's protocol, about `subjects` (empty: all of the set).

    With `cloze` the right choices' texts are scored as well.
    """

    shots: int
    subjects: tuple[str, ...] = ()
    cloze: bool = True
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class ChoicesSpec:
    """Items of `core.choice_items`, each choice scored by its likelihood after the prompt."""

    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class SharpnessSpec:
    """Curvature of the mean loss over `batch_size` held-out samples; see `models/sharpness.py`.

    A sample has `sequence_length` tokens (default: as many as the model reads at once). Lanczos
    ends when the relative residuals of both ends of the spectrum are at most `tolerance`, or after
    `max_iterations` Hessian-vector products. Hutchinson's trace takes `trace_samples` products (0:
    no trace). `sam_radius` and `asam_radius` are the balls of SAM and adaptive SAM. Losses are
    summed over micro-batches of `micro_batch_size` samples (default: the batch in one). `seed`
    decides batch and random vectors. `checkpoint_at` is the number of training tokens after which
    the weights were kept; None: the final ones.
    """

    batch_size: int
    max_iterations: int
    tolerance: float
    seed: int
    trace_samples: int = 8
    sam_radius: float = 0.05
    asam_radius: float = 0.5
    dense_layers: bool = True
    micro_batch_size: int | None = None
    checkpoint_at: int | None = None
    sequence_length: int | None = None
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class StartSpec:
    """Where a training run starts: what its first updates do to the validation loss, and bounds.

    The gradients of the first `batches` batches of its order are taken at the initial weights and
    compared with that of the validation loss over `validation_tokens_per_domain`. Rounding is
    measured at each of `learning_rates`. With `products` above 0 Lanczos finds the largest
    eigenvalue of the Hessian over `curvature_samples` held-out samples, in at most so many
    products; see `models/start.py`.
    """

    model: ModelSpec
    optimizer: OptimizerSpec
    batch_size: int
    batches: int
    seed: int
    learning_rates: tuple[float, ...]
    validation_tokens_per_domain: int
    products: int = 0
    curvature_samples: int = 32
    tolerance: float = 0.01
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class NgramSpec:
    """Cross entropy of held-out text under n-gram models of what a run reads; needs no network."""

    vocabulary_size: int
    sequence_length: int
    validation_tokens_per_domain: int
    threads: int = 1
