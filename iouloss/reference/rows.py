"""The losses on rows of logits in plain PyTorch, in forms that neither cancel nor overflow."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .._inputs import RowInputs
from ..checks.rows import check_row_loss
from .common import IGNORED, bounded, compute_dtype, count_up, open_number, reduce_loss, times


def kept_weight(logits: Tensor, targets: Tensor, kept: Tensor, class_weight: Tensor | None) -> Tensor:
    """The sum of the class weights of the rows that are kept; without weights, their number."""
    if class_weight is None:
        return kept.sum()
    weights = class_weight.detach().to(compute_dtype(logits, class_weight))
    return torch.where(kept, of_class(weights, torch.where(kept, targets, 0)), 0.0).sum()


def of_class(values: Tensor, index: Tensor) -> Tensor:
    """The value of each row's class. ``values[index]`` would read an index without dimensions back to the host."""
    return values.index_select(0, index.flatten()).reshape(index.shape)


def log_odds(x: Tensor, chosen: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """logsumexp(others) - own, for the chosen class of each row; and its parts, the largest logit and the log-sum."""
    largest = torch.where(chosen, torch.finfo(x.dtype).min, x.detach()).amax(-1, keepdim=True)
    absent = chosen | (x == -math.inf)
    powers = torch.where(absent, 0.0, torch.exp(torch.where(absent, largest, x) - largest))
    total = powers.sum(-1)
    lowest = torch.finfo(x.dtype).min / 4
    log_total = torch.where(total > 0, torch.log(torch.where(total > 0, total, 1.0)), lowest)
    # For a NaN, `total > 0` is False, but the result must stay NaN.
    log_total = torch.where(total.isnan(), total, log_total)
    largest = largest.squeeze(-1)
    y = (largest - own) + log_total
    return torch.where(own == -math.inf, y, bounded(y)), largest, log_total


def each_log_odds(x: Tensor) -> Tensor:
    """logsumexp(others) - own, for every class of each row.

    For every class but the largest, the others have at least half of the sum. So such a class can be subtracted from
    the sum without losing precision. The others of the largest class are summed instead.
    """
    place = x.detach().argmax(-1, keepdim=True)
    first = torch.zeros_like(x, dtype=torch.bool).scatter(-1, place, 1)
    own = x.gather(-1, place)
    impossible, largest = x == -math.inf, own.detach()
    powers = torch.where(impossible, 0.0, torch.exp(torch.where(impossible, largest, x) - largest))
    others = powers.sum(-1, keepdim=True) - torch.where(first, 0.0, powers)
    y = (largest - x) + torch.log(others)
    y = torch.where(impossible, y, bounded(y))
    return torch.where(first, log_odds(x, first, own.squeeze(-1))[0][..., None], y)


def settled(loss: Tensor, x: Tensor) -> Tensor:
    """The loss of each row of logits ``x``, bounded unless one of the logits is -inf: only then it may be infinite."""
    return torch.where((x == -math.inf).any(-1), loss, bounded(loss))


def focused(each: Tensor, y: Tensor, gamma: float, may_be_infinite: Tensor) -> Tensor:
    """``each`` times u**gamma, u = sigmoid(y)."""
    if gamma == 0:
        return each
    most = torch.finfo(y.dtype).max / (1 + gamma)  # beyond, a gradient overflows before the factor makes it small
    each = torch.where((each > most) & ~may_be_infinite, open_number(most, each), each)
    # Beyond 1000 the factor is 1 and has no derivative. Where the loss is infinite, it gets none either: the derivative
    # would be infinite.
    y = torch.where((y > 1000) | (each == math.inf), y.detach().clamp(max=1000.0), y)
    return times(torch.exp(gamma * logsigmoid(y)), each)


def class_terms(
    x: Tensor,
    index: Tensor,
    weights: Tensor,
    gamma: float,
    smoothing: float,
    poly: float,
) -> Tensor:
    """u**gamma * (smoothed cross entropy + poly * w * u) of rows ``x``, with u = 1 - p of their class ``index``.

    With y = logsumexp(others) - x_t, u is sigmoid(y) and the cross entropy softplus(y): nothing cancels.
    """
    chosen = count_up(x.shape[-1], x) == index[..., None]
    own = x.gather(-1, index[..., None]).squeeze(-1)
    y, largest, log_others = log_odds(x, chosen, own)
    weight = of_class(weights, index)
    entropy = -logsigmoid(-y)
    each = times((1 - smoothing) * weight, entropy)
    impossible = x == -math.inf
    if smoothing > 0:
        shares = smoothing / x.shape[-1] * weights
        of_others = torch.where(chosen, 0.0, shares)
        above = log_others - logsigmoid(y)  # logsumexp(all) over the largest
        below = largest[..., None] - torch.where(chosen, largest[..., None], x)
        below = torch.where(impossible, below, bounded(below))
        each = each + times(of_class(shares, index), entropy)
        each = each + times(of_others, below).sum(-1) + of_others.sum(-1) * above
    if poly != 0:
        each = each + poly * weight * torch.sigmoid(y)
    return focused(each, y, gamma, impossible.any(-1))


def probability_terms(x: Tensor, q: Tensor, weights: Tensor, smoothing: float, poly: float) -> Tensor:
    """sum_c w_c (q'_c -log p_c + poly q_c (1 - p_c)) with the smoothed probabilities q' of the classes."""
    y = each_log_odds(x)
    smooth = (1 - smoothing) * q + smoothing / x.shape[-1]
    loss = times(weights * smooth, -logsigmoid(-y)).sum(-1)
    if poly != 0:
        loss = loss + poly * (weights * q * torch.sigmoid(y)).sum(-1)
    return settled(loss, x)


def multi_hot_terms(x: Tensor, z: Tensor, weights: Tensor, gamma: float, smoothing: float) -> Tensor:
    """sum_c z_c times the focal loss of class c."""
    y = each_log_odds(x)
    entropy = -logsigmoid(-y)
    each = times((1 - smoothing) * weights, entropy)
    if smoothing > 0:
        each = each + times(smoothing / x.shape[-1] * weights, entropy).sum(-1, keepdim=True)
    each = focused(each, y, gamma, (x == -math.inf).any(-1, keepdim=True))
    return settled(times(z, each).sum(-1), x)


def distribution_terms(x: Tensor, place: Tensor) -> Tensor:
    """The blend of the cross entropies of the two bins around each place.

    It is computed as the cross entropy of the nearer bin, plus the farther bin's share of the difference between the
    two.
    """
    bins = x.shape[-1]
    place = place.clamp(0, bins - 1)
    low = torch.where(place.isnan(), 0.0, place).floor().clamp(max=max(bins - 2, 0))
    beyond = place - low
    near = (low + (beyond > 0.5)).long()
    far = (low + (beyond <= 0.5)).long().clamp(max=bins - 1)
    share = torch.where(beyond > 0.5, 1 - beyond, beyond)
    # If the nearer bin has no probability, the two bins swap roles, so that only one logarithm is infinite.
    swapped = x.detach().gather(-1, near[..., None]).squeeze(-1) == -math.inf
    near, far, share = (
        torch.where(swapped, far, near),
        torch.where(swapped, near, far),
        torch.where(swapped, 1 - share, share),
    )
    own, other = (x.gather(-1, i[..., None]).squeeze(-1) for i in (near, far))
    chosen = count_up(bins, x) == near[..., None]
    apart = torch.where(own == -math.inf, 0.0, own - other)
    apart = torch.where(other == -math.inf, apart, bounded(apart))
    return -logsigmoid(-log_odds(x, chosen, own)[0]) + times(share, apart)


def log_softmax_parts(x: Tensor, cold: float) -> tuple[Tensor, Tensor, Tensor]:
    """The distance of each logit below the largest, the softmax, and the log-sum-exp relative to the largest."""
    largest = x.detach().amax(-1, keepdim=True)
    below = torch.where(x == -math.inf, (largest - x) * cold, bounded(bounded(largest - x) * cold))
    powers = torch.exp(-below)
    first = torch.zeros_like(x, dtype=torch.bool).scatter(-1, x.detach().argmax(-1, keepdim=True), 1)
    others = torch.where(first, 0.0, powers).sum(-1)
    # The exponential of the largest logit is 1, but it has a derivative.
    of_first = torch.where(first, -below, 0.0).sum(-1)
    total = torch.exp(of_first) + others
    return below, powers / total[..., None], torch.log1p(others * torch.exp(-of_first)) + of_first


def kl_terms(x: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """temperature**2 * KL(targets || softmax(x / temperature))."""
    below, _, log_total = log_softmax_parts(x, 1 / temperature)
    # Smaller targets count as 0, as in the kernels (Limits::tiny in csrc/core/number.h).
    nothing = targets.abs() < (2.0**-120 if x.dtype == torch.float32 else 2.0**-1000)
    # A negative number has no logarithm. It counts as 0 does, whose logarithm is the lowest number.
    log_q = torch.where(
        targets < 0, -torch.finfo(x.dtype).max, torch.log(torch.where(nothing | (targets < 0), 1.0, targets))
    )
    divergence = temperature**2 * (times(targets, log_q + below).sum(-1) + targets.sum(-1) * log_total)
    return settled(divergence, x)


def entropy_terms(x: Tensor) -> Tensor:
    """The entropy of softmax(x)."""
    below, p, log_total = log_softmax_parts(x, 1.0)
    return log_total + times(p, below).sum(-1)


def row_loss(inputs: RowInputs) -> Tensor:
    """The operator behind the functions of ``iouloss.functional.rows``, which document it."""
    check_row_loss(inputs)
    logits, targets, weight, avg_factor, formula, ignore_index, reduction, class_dim, class_weight, *_ = inputs
    alpha, gamma = inputs.alpha, inputs.gamma
    label_smoothing, poly_epsilon = inputs.label_smoothing, inputs.poly_epsilon
    dtype = compute_dtype(logits, logits if targets is None else targets)
    x = logits.to(dtype).movedim(class_dim, -1)
    if formula == "entropy":
        return reduce_loss(entropy_terms(x), weight, avg_factor, reduction)
    assert targets is not None  # for the type checker
    if formula == "distribution_focal":
        return reduce_loss(distribution_terms(x, targets.to(dtype)), weight, avg_factor, reduction)
    weights = x.new_ones(x.shape[-1]) * alpha
    if class_weight is not None:
        weights = weights * class_weight.to(dtype)
    if targets.ndim == logits.ndim:
        q = targets.to(dtype).movedim(class_dim, -1)
        if formula == "kl_div":
            loss = kl_terms(x, q, inputs.temperature)
        elif formula == "cross_entropy":
            loss = probability_terms(x, q, weights, label_smoothing, poly_epsilon)
        else:
            loss = multi_hot_terms(x, q, weights, gamma, label_smoothing)
        return reduce_loss(loss, weight, avg_factor, reduction)
    targets = targets.long()  # before the comparison: a uint8 cannot hold -100
    kept = (targets >= 0) & (targets < x.shape[-1]) & (targets != (IGNORED if ignore_index is None else ignore_index))
    if avg_factor is None and reduction == "mean":
        counted = class_weight if formula == "cross_entropy" else None
        avg_factor = kept_weight(logits, targets, kept, counted)
    x = torch.where(kept[..., None], x, 0.0)
    loss = class_terms(x, torch.where(kept, targets, 0), weights, gamma, label_smoothing, poly_epsilon)
    loss = torch.where(kept, loss, 0.0)
    weight = None if weight is None else torch.where(kept, weight, 0.0)
    return reduce_loss(loss, weight, avg_factor, reduction)
