"""The sigmoid focal loss in plain PyTorch, in a form that neither cancels nor overflows."""

import torch
from torch import Tensor

from .checks import check_sigmoid_focal_loss
from .common import compute_dtype, reduce_loss


def kept_elements(logits: Tensor, targets: Tensor, ignore_index: int) -> Tensor:
    """The number of logits in the rows whose class index is not ``ignore_index``, as a tensor on their device."""
    return (targets != ignore_index).sum() * logits.shape[-1]


def focal_terms(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """q**gamma * BCE, with q = z * sigmoid(-x) + (1 - z) * sigmoid(x) the error of the probability.

    All is written on the side of zero the logit lies on, with e = exp(-|x|) <= 1 and r the share of the target
    that contradicts the logit's sign: sigmoid(|x|) = 1 / (1 + e), sigmoid(-|x|) = e / (1 + e), hence
    q = (r + (1 - r) * e) / (1 + e) and BCE = log(1 + e) + r * |x|. No term is a difference of near equals.
    """
    positive = logits >= 0
    # Not abs(), whose gradient at 0 is 0: the side is chosen, and the formula is smooth across it.
    magnitude = torch.where(positive, logits, -logits)
    wrong = torch.where(positive, 1 - targets, targets)
    # Beyond 1000 e is 0. So is its derivative, and stays 0 where the rest of the gradient overflows.
    e = torch.exp(-torch.where(magnitude > 1000, 1000.0, magnitude))
    bce = torch.log1p(e) + wrong * magnitude
    q = (wrong + (1 - wrong) * e) / (1 + e)
    # Where e underflows, bce does too; q stays off 0, at which the derivative of a power below 1 is infinite.
    tiny = torch.finfo(q.dtype).tiny
    return torch.where(q < tiny, tiny, q) ** gamma * bce


def sigmoid_focal_loss(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    avg_factor: Tensor | float | None,
    alpha: Tensor | float | None,
    gamma: float,
    reduction: str,
    ignore_index: int,
) -> Tensor:
    """The operator behind ``iouloss.functional.sigmoid_focal_loss``, which documents it."""
    check_sigmoid_focal_loss(logits, targets, weight, avg_factor, alpha, gamma, reduction, ignore_index)
    dense = targets.dtype != torch.int64
    dtype = compute_dtype(logits, targets)
    x = logits.to(dtype)
    if dense:
        z = targets.to(dtype)
    else:
        if avg_factor is None and reduction == "mean":
            avg_factor = kept_elements(logits, targets, ignore_index)
        kept = (targets != ignore_index)[..., None]
        x = torch.where(kept, x, 0.0)
        # An index that is no class matches no column: background.
        z = (targets[..., None] == torch.arange(logits.shape[-1], device=logits.device)).to(dtype)
    loss = focal_terms(x, z, gamma)
    if alpha is not None:
        a = alpha.to(dtype) if isinstance(alpha, Tensor) else alpha
        loss = (a * z + (1 - a) * (1 - z)) * loss
    if weight is not None and weight.shape != logits.shape:
        weight = weight[..., None]
    if not dense:
        loss = torch.where(kept, loss, 0.0)
        weight = None if weight is None else torch.where(kept, weight, 0.0)
    return reduce_loss(loss, weight, avg_factor, reduction)
