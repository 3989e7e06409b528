"""The losses of regions in plain PyTorch: Dice, generalized Dice, Tversky and focal Tversky."""

from typing import NamedTuple

import torch
from torch import Tensor

from .._inputs import RegionInputs
from ..checks.regions import check_region_loss
from .common import compute_dtype, divide, open_number, reduce_loss


class Sums(NamedTuple):
    """Sums for each class of each image ``[N, C]``: what probability and target share, both excesses, the target."""

    overlap: Tensor
    extra: Tensor
    missed: Tensor
    target: Tensor


def probabilities(logits: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """``p`` and ``1 - p``, each in a form that does not cancel."""
    if activation == "sigmoid":
        # As in class Logit of logits.py, from exp(-|x|): so autograd does not meet a 1 - p either.
        positive = logits >= 0
        magnitude = torch.where(positive, logits, -logits)
        e = torch.exp(-torch.where(magnitude > 1000, 1000.0, magnitude))
        return torch.where(positive, 1.0, e) / (1 + e), torch.where(positive, e, 1.0) / (1 + e)
    if activation == "none":
        return logits, 1 - logits
    if logits.numel() == 0:
        return logits, logits
    # Everything is computed from the differences from the likeliest class. Its 1 - p comes from the exponentials of the
    # others, so neither sums nor derivatives contain a difference of nearly equal numbers.
    top = logits.argmax(1, keepdim=True)
    likeliest = torch.zeros_like(logits, dtype=torch.bool).scatter(1, top, 1)
    largest = logits.gather(1, top)
    e = torch.exp(torch.where(likeliest, 0.0, logits - largest))
    # The last term is 0, or NaN where the largest logit is not finite.
    others = torch.where(likeliest, 0.0, e).sum(1, keepdim=True) + (largest - largest)
    p = e / (1 + others)
    return p, torch.where(likeliest, others / (1 + others), 1 - p)


class Pixels(NamedTuple):
    """The targets in the dtype of the computation; which of them count (None: all); and with what weight (None: 1)."""

    targets: Tensor
    kept: Tensor | None  # can be broadcast to the logits' shape
    weight: Tensor | None

    def only(self, terms: Tensor) -> Tensor:
        """The terms, with 0 where a pixel does not count."""
        return terms if self.kept is None else torch.where(self.kept, terms, 0.0)


def one_hot(targets: Tensor, classes: int, dims: int) -> Tensor:
    """Class indices ``[N, ...]`` as booleans ``[N, C, ...]``, all False for an index that is not a class."""
    columns = torch.arange(classes, device=targets.device).reshape(-1, *[1] * (dims - 2))
    return targets.long()[:, None] == columns


def equal_to(targets: Tensor, number: int) -> Tensor:
    """Where the targets equal ``number``, compared in a wide dtype, since their own could round ``number``."""
    return (targets.double() if targets.is_floating_point() else targets.long()) == number


def pixels_of(
    x: Tensor, targets: Tensor, activation: str, ignore_index: int | None, pixel_weight: Tensor | None
) -> Pixels:
    """The targets of the logits ``x``, which have the dtype of the computation, and which pixels count."""
    kept: Tensor | None
    if targets.shape != x.shape:
        kept = ~equal_to(targets, -100 if ignore_index is None else ignore_index)[:, None]
        pixels = Pixels(one_hot(targets, x.shape[1], x.ndim).to(x.dtype), kept, None)
    else:
        kept = None if ignore_index is None else ~equal_to(targets, ignore_index)
        pixels = Pixels(targets.to(x.dtype), kept, None)
    if pixel_weight is not None:
        weight = pixel_weight.reshape(x.shape[0], 1, *x.shape[2:])
        if weight.dtype == torch.bool:
            counts = weight
        else:
            weight = weight.to(x.dtype)
            # Not every pixel of weight 0 is left out: its terms are the derivatives with respect to its weight.
            counts = (weight != 0) | _is_finite(x, pixels.targets, activation)
            pixels = pixels._replace(weight=weight)
        pixels = pixels._replace(kept=counts if pixels.kept is None else counts & pixels.kept)
    return pixels._replace(targets=pixels.only(pixels.targets))


def _is_finite(x: Tensor, targets: Tensor, activation: str) -> Tensor:
    """Where logits and targets give finite terms."""
    bound = 2.0**60
    if activation == "softmax" and x.numel():
        sound = x.amax(1, keepdim=True).isfinite()
    else:
        sound = ~x.isnan() if activation == "sigmoid" else x.abs() < bound
    return sound & (targets.abs() < bound)


def cell_sums(inputs: RegionInputs) -> Sums:
    """The sums over the pixels. With ``power`` 2 the excess is the squared difference of ``p`` and ``g``."""
    logits, targets, activation = inputs.logits, inputs.targets, inputs.activation
    x = logits.to(compute_dtype(logits, targets))
    pixels = pixels_of(x, targets, activation, inputs.ignore_index, inputs.pixel_weight)
    g, kept = pixels.targets, pixels.kept
    if kept is not None:
        # The classes of a softmax share a pixel, so a logit is left out only where all classes of its pixel are.
        x = torch.where(kept.any(1, keepdim=True) if activation == "softmax" else kept, x, 0.0)
    p, n = (pixels.only(each) for each in probabilities(x, activation))
    overlap, extra, missed = p * g, p * (1 - g), n * g
    if inputs.power == 2 and inputs.formula == "dice":
        extra, missed = (extra - missed) ** 2, torch.zeros_like(p)
    elif inputs.soft_labels:
        overlap, extra, missed = _smaller_and_excess(p, g, extra - missed)
    terms = Sums(overlap, extra, missed, g)
    if pixels.weight is not None:
        terms = Sums(*(pixels.weight * each for each in terms))
    dims = tuple(range(2, logits.ndim))
    return Sums(*(each.sum(dims) for each in terms)) if dims else terms


def _smaller_and_excess(p: Tensor, g: Tensor, beyond: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """min(p, g), max(p - g, 0) and max(g - p, 0), given ``p - g``; a tie splits the gradient in halves."""

    def choose(over: Tensor | float, under: Tensor | float, tie: Tensor) -> Tensor:
        return torch.where(beyond > 0, over, torch.where(beyond < 0, under, tie))

    return choose(g, p, (p + g) / 2), choose(beyond, 0.0, beyond / 2), choose(0.0, -beyond, -beyond / 2)


def generalized_weights(target: Tensor, per: str, of_class: Tensor) -> Tensor:
    """The inverse squares of the sums of the classes' targets; absent classes get the largest weight of the others.

    Classes that ``of_class`` leaves out, with a factor of 0, do not count among the others.
    """
    target = target.detach()
    if per == "batch":
        target = target.sum(0, keepdim=True)
    present = target >= 1e-15
    weights = torch.where(present, 1 / torch.where(present, target, 1.0) ** 2, 0.0)
    if weights.shape[1] == 0:
        return weights
    return torch.where(present, weights, torch.where(of_class == 0, 0.0, weights).amax(1, keepdim=True))


def region_losses(sums: Sums, alpha: float, beta: float, a: float, b: float, exponent: float) -> Tensor:
    """``(1 - (overlap + a) / (overlap + alpha * extra + beta * missed + b)) ** exponent``; 0/0 is a loss of 0."""
    tiny = 2.0**-1000 if sums.overlap.dtype == torch.float64 else 2.0**-120
    error = alpha * sums.extra + beta * sums.missed + (b - a)
    everything = sums.overlap + a + error
    loss = divide(error, torch.where(everything.abs() < tiny, 0.0, everything))
    if exponent == 1:
        return loss
    # The derivative of a power with an exponent below 1 is infinite at 0. Here it is 0 instead.
    nothing = loss <= 0
    return torch.where(nothing, 0.0, torch.where(nothing, 1.0, loss) ** open_number(exponent, loss))


def region_loss(inputs: RegionInputs) -> Tensor:
    """The operator behind the functions of ``iouloss.functional.regions``, which document it."""
    check_region_loss(inputs)
    logits, class_weight, formula, per = inputs.logits, inputs.class_weight, inputs.formula, inputs.per
    sums = cell_sums(inputs)
    of_class = None if class_weight is None else class_weight.to(sums.overlap.dtype)
    if per in ("image", "batch"):
        factors = sums.target.new_ones(logits.shape[1]) if of_class is None else of_class
        if formula == "generalized_dice":
            factors = factors * generalized_weights(sums.target, per, factors)
        sums, of_class = Sums(*(factors * each for each in sums)), None
    dims = {"image_class": (), "class": (0,), "image": (1,), "batch": (0, 1)}[per]
    if dims:
        sums = Sums(*(each.sum(dims) for each in sums))
    alpha, beta = inputs.alpha, inputs.beta
    smooth_numerator, smooth_denominator = inputs.smooth_numerator, inputs.smooth_denominator
    if formula != "tversky":  # (2 overlap + a) / (2 overlap + extra + missed + b)
        alpha = beta = 0.5
        smooth_numerator, smooth_denominator = smooth_numerator / 2, smooth_denominator / 2
    loss = region_losses(sums, alpha, beta, smooth_numerator, smooth_denominator, 1 / inputs.gamma)
    loss = loss if of_class is None else loss * of_class
    return reduce_loss(loss, inputs.weight, inputs.avg_factor, inputs.reduction)
