"""Mean cross entropy of whole sequences, what scoring asks for: one number a sample."""

from torch import Tensor

from curricle.kernels.linear_cross_entropy.function import linear_cross_entropy


def sequence_cross_entropy(
    hidden_BTC: Tensor, weight_VC: Tensor, target_BT: Tensor, *, ignore_index: int = -100
) -> Tensor:
    """Mean of `linear_cross_entropy` over each sequence's tokens that aren't ignored.

    Args:
        hidden_BTC: hidden states of B sequences of T tokens, floating point, any strides.
        weight_VC: weight of the head.
        target_BT: integers in [0, V), or `ignore_index`.
        ignore_index: tokens with this target don't count.

    Returns:
        loss_B, fp32 or, for fp64 inputs, fp64; NaN for a sequence that is ignored throughout. Where
        no gradient is wanted, no logits are kept, whatever B and T.

    Raises:
        ValueError: for other shapes, and as `linear_cross_entropy` does.
    """
    if hidden_BTC.dim() != 3 or hidden_BTC.shape[:2] != target_BT.shape:
        shapes = f"{tuple(hidden_BTC.shape)}, {tuple(target_BT.shape)}"
        raise ValueError(f"found shapes of hidden, target: {shapes}; expected (B, T, C), (B, T)")
    loss_N = linear_cross_entropy(
        hidden_BTC.flatten(0, 1),
        weight_VC,
        target_BT.flatten(),
        ignore_index=ignore_index,
        reduction="none",
    )
    return loss_N.view(target_BT.shape).sum(dim=1) / (target_BT != ignore_index).sum(dim=1)
