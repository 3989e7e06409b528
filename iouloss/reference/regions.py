"""The losses of regions in plain PyTorch: Dice, generalized Dice, Tversky and focal Tversky."""

from typing import NamedTuple

import torch
from torch import Tensor

from .common import compute_dtype, divide, open_number, reduce_loss
from .region_checks import check_region_loss


class Sums(NamedTuple):
    """Of each class of each image ``[N, C]``: what probability and target share, the two excesses, the target."""

    overlap: Tensor
    extra: Tensor
    missed: Tensor
    target: Tensor


def probabilities(logits: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """``p`` and ``1 - p``, each in a form that does not cancel."""
    if activation == "sigmoid":
        # On the side of 0 that the logit lies on, as in focal.py: so that autograd has no 1 - p to take either.
        positive = logits >= 0
        magnitude = torch.where(positive, logits, -logits)
        e = torch.exp(-torch.where(magnitude > 1000, 1000.0, magnitude))
        return torch.where(positive, 1.0, e) / (1 + e), torch.where(positive, e, 1.0) / (1 + e)
    if activation == "none":
        return logits, 1 - logits
    if logits.numel() == 0:
        return logits, logits
    # All is a matter of the differences from the likeliest class, which has 1 - p from the exponentials of the others:
    # neither the sums nor their derivatives hold a difference of near equals.
    top = logits.argmax(1, keepdim=True)
    likeliest = torch.zeros_like(logits, dtype=torch.bool).scatter(1, top, True)
    e = torch.exp(torch.where(likeliest, 0.0, logits - logits.gather(1, top)))
    others = torch.where(likeliest, 0.0, e).sum(1, keepdim=True)
    p = e / (1 + others)
    return p, torch.where(likeliest, others / (1 + others), 1 - p)


def cell_sums(logits: Tensor, targets: Tensor, activation: str, power: int, ignore_index: int) -> Sums:
    """The sums over the pixels; with ``power`` 2 the squared difference of ``p`` and ``g`` is all of the excess."""
    dtype = compute_dtype(logits, targets)
    x = logits.to(dtype)
    if targets.dtype == torch.int64:
        classes = torch.arange(logits.shape[1], device=logits.device).reshape(-1, *[1] * (logits.ndim - 2))
        kept = (targets != ignore_index)[:, None]
        g = ((targets[:, None] == classes) & kept).to(dtype)
        p, n = probabilities(torch.where(kept, x, 0.0), activation)
        p, n = torch.where(kept, p, 0.0), torch.where(kept, n, 0.0)
    else:
        g = targets.to(dtype)
        p, n = probabilities(x, activation)
    if power == 2:
        extra, missed = (p * (1 - g) - n * g) ** 2, torch.zeros_like(p)
    else:
        extra, missed = p * (1 - g), n * g
    pixels = tuple(range(2, logits.ndim))
    return Sums(*(terms.sum(pixels) if pixels else terms for terms in (p * g, extra, missed, g)))


def generalized_weights(target: Tensor, per: str) -> Tensor:
    """The inverse squares of the classes' targets; an absent class has the largest weight of those present."""
    target = target.detach()
    if per == "batch":
        target = target.sum(0, keepdim=True)
    present = target >= 1e-15
    weights = torch.where(present, 1 / torch.where(present, target, 1.0) ** 2, 0.0)
    return torch.where(present, weights, weights.amax(1, keepdim=True)) if weights.shape[1] else weights


def region_losses(sums: Sums, alpha: float, beta: float, a: float, b: float, exponent: float) -> Tensor:
    """``(1 - (overlap + a) / (overlap + alpha * extra + beta * missed + b)) ** exponent``; 0/0 is a loss of 0."""
    tiny = 2.0**-1000 if sums.overlap.dtype == torch.float64 else 2.0**-120
    error = alpha * sums.extra + beta * sums.missed + (b - a)
    everything = sums.overlap + a + error
    loss = divide(error, torch.where(everything.abs() < tiny, 0.0, everything))
    if exponent == 1:
        return loss
    # The derivative of a power below 1 is infinite at 0; here it is 0.
    nothing = loss <= 0
    return torch.where(nothing, 0.0, torch.where(nothing, 1.0, loss) ** open_number(exponent, loss))


def region_loss(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    class_weight: Tensor | None,
    avg_factor: Tensor | float | None,
    kind: str,
    activation: str,
    per: str,
    power: int,
    alpha: float,
    beta: float,
    gamma: float,
    smooth_numerator: float,
    smooth_denominator: float,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    """The operator behind the functions of ``iouloss.functional.regions``, which document it."""
    check_region_loss(
        logits,
        targets,
        weight,
        class_weight,
        avg_factor,
        kind,
        activation,
        per,
        power,
        alpha,
        beta,
        gamma,
        smooth_numerator,
        smooth_denominator,
        ignore_index,
        reduction,
    )
    sums = cell_sums(logits, targets, activation, power if kind == "dice" else 1, ignore_index)
    of_class = None if class_weight is None else class_weight.to(sums.overlap.dtype)
    if per in ("image", "batch"):
        factors = torch.ones_like(sums.target) if of_class is None else of_class.expand_as(sums.target)
        if kind == "generalized_dice":
            factors = factors * generalized_weights(sums.target, per)
        sums, of_class = Sums(*(factors * each for each in sums)), None
    dims = {"image_class": (), "class": (0,), "image": (1,), "batch": (0, 1)}[per]
    if dims:
        sums = Sums(*(each.sum(dims) for each in sums))
    if kind != "tversky":  # (2 overlap + a) / (2 overlap + extra + missed + b)
        alpha = beta = 0.5
        smooth_numerator, smooth_denominator = smooth_numerator / 2, smooth_denominator / 2
    loss = region_losses(sums, alpha, beta, smooth_numerator, smooth_denominator, 1 / gamma)
    return reduce_loss(loss if of_class is None else loss * of_class, weight, avg_factor, reduction)
