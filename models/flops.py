"""Floating-point operations of a model: exact, and by the rule of thumb 6 N.

A multiply-add is two operations. The exact count is that of all matrix products, head included.
Norms, activations, softmax and the optimizer are left out: below one per cent from width 64 on.
Attention is counted in full, without halving it for causality, as published counts do.
"""

from curricle.core.families import family_of, widths_of
from curricle.core.jobs import ModelSpec, SharpnessSpec, TrainingSpec
from curricle.core.model_size import non_embedding_parameters

# At the loss, of SAM, adaptive SAM and the search for the critical step.
TYPICAL_LOOKS = 12


def forward_flops_per_token(spec: ModelSpec) -> int:
    """Operations of a forward pass, head included, per token at full sequence length."""
    widths, width = widths_of(spec), spec.width
    expansions = 2 if family_of(spec).gated else 1
    projections = 2 * width + 2 * widths.key_value
    layer_weights = width * (projections + (expansions + 1) * widths.feed_forward)
    attention = 2 * spec.sequence_length * width
    head_weights = spec.vocabulary_size * widths.embedding
    in_and_out = 2 * widths.embedding * width if widths.embedding != width else 0
    return 2 * (spec.num_layers * (layer_weights + attention) + head_weights + in_and_out)


def training_flops_per_token(spec: ModelSpec) -> int:
    """Operations of forward and backward: three times the forward pass."""
    return 3 * forward_flops_per_token(spec)


def selection_flops(spec: TrainingSpec) -> int:
    """Operations of choosing the samples of a whole run: RHO-LOSS's look at all candidates."""
    if spec.selection is None or spec.selection.policy != "rho-loss":
        return 0
    candidates = (spec.tokens - spec.start_at) * spec.selection.oversampling
    return candidates * forward_flops_per_token(spec.model)


def run_flops(spec: TrainingSpec) -> int:
    """Operations of a training run: forward, backward, and choosing samples."""
    trained = (spec.tokens - spec.start_at) * training_flops_per_token(spec.model)
    return trained + selection_flops(spec)


def approximate_training_flops_per_token(spec: ModelSpec) -> int:
    """6 N, N the non-embedding parameters (Kaplan et al. 2020, arXiv 2001.08361).

    It leaves out attention and head, which are most of a small model's operations.
    """
    return 6 * non_embedding_parameters(spec)


def most_products(settings: SharpnessSpec) -> int:
    """Hessian-vector products of a measurement if Lanczos needs all its iterations."""
    spectra = 2 if settings.dense_layers else 1
    return spectra * settings.max_iterations + settings.trace_samples


def sharpness_flops(forward_flops: int, *, products: int, looks: int, rebuilt: bool) -> int:
    """Operations of a measurement of sharpness, by those of one forward pass over its batch.

    With F for that pass: a look at the loss costs F, a gradient 3 F, and a Hessian-vector product
    6 F where the gradient's graph is kept, being one backward pass through forward (2 F) and
    backward (4 F). With several micro-batches (`rebuilt`) a product makes the gradient anew, 9 F.
    Three gradients: SAM's, and one for each graph, of all parameters and of the dense layers.
    """
    per_product = 9 if rebuilt else 6
    return (per_product * products + 3 * 3 + looks) * forward_flops


def most_sharpness_flops(
    settings: SharpnessSpec, forward_flops_per_token: int, sequence_length: int
) -> int:
    """Operations of a measurement of sharpness if Lanczos needs all its iterations."""
    tokens = settings.batch_size * sequence_length
    micro = settings.micro_batch_size or settings.batch_size
    return sharpness_flops(
        tokens * forward_flops_per_token,
        products=most_products(settings),
        looks=TYPICAL_LOOKS,
        rebuilt=micro < settings.batch_size,
    )
