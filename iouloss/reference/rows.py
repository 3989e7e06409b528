"""The losses on rows of logits in plain PyTorch, in forms that neither cancel nor overflow."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .common import compute_dtype, open_number, reduce_loss
from .row_checks import check_row_loss


def kept_weight(
    logits: Tensor, targets: Tensor, class_weight: Tensor | None, ignore_index: int, class_dim: int
) -> Tensor:
    """The weights of the classes of the rows that count, added up; their number without weights."""
    count = logits.shape[class_dim]
    kept = (targets >= 0) & (targets < count) & (targets != ignore_index)
    if class_weight is None:
        return kept.sum()
    weights = class_weight.detach().to(compute_dtype(logits, class_weight))
    return torch.where(kept, weights[torch.where(kept, targets, 0)], 0.0).sum()


def bounded(x: Tensor) -> Tensor:
    """The largest numbers in place of infinities. Not by a clamp, which has no gradient at NaN."""
    largest = torch.finfo(x.dtype).max
    return torch.where(x > largest, largest, torch.where(x < -largest, -largest, x))


def log_odds(x: Tensor, chosen: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """logsumexp(others) - own, for the one chosen class of each row; and its parts: the largest and the log-sum."""
    largest = torch.where(chosen, torch.finfo(x.dtype).min, x.detach()).amax(-1, keepdim=True)
    powers = torch.where(chosen, 0.0, torch.exp(torch.where(chosen, largest, x) - largest))
    total = powers.sum(-1)
    lowest = torch.finfo(x.dtype).min / 4
    log_total = torch.where(total > 0, torch.log(torch.where(total > 0, total, 1.0)), lowest)
    # A NaN is neither greater than 0 nor a reason for the lowest number.
    log_total = torch.where(total.isnan(), total, log_total)
    largest = largest.squeeze(-1)
    return bounded((largest - own) + log_total), largest, log_total


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
    chosen = torch.arange(x.shape[-1], device=x.device) == index[..., None]
    own = x.gather(-1, index[..., None]).squeeze(-1)
    y, largest, log_others = log_odds(x, chosen, own)
    weight = weights[index]
    entropy = -logsigmoid(-y)
    each = (1 - smoothing) * weight * entropy
    if smoothing > 0:
        shares = smoothing / x.shape[-1] * weights
        of_others = torch.where(chosen, 0.0, shares)
        above = log_others - logsigmoid(y)  # logsumexp(all) over the largest
        below = bounded(largest[..., None] - torch.where(chosen, largest[..., None], x))
        each = each + shares[index] * entropy + (of_others * below).sum(-1) + of_others.sum(-1) * above
    if poly != 0:
        each = each + poly * weight * torch.sigmoid(y)
    if gamma == 0:
        return each
    most = torch.finfo(x.dtype).max / (1 + gamma)  # else the gradient overflows before it is multiplied by next to 0
    return torch.exp(gamma * logsigmoid(y)) * torch.where(each > most, open_number(most, x), each)


def distribution_terms(x: Tensor, place: Tensor) -> Tensor:
    """The cross entropy of the two bins about each place, as that of the nearer and the other's difference from it."""
    bins = x.shape[-1]
    place = place.clamp(0, bins - 1)
    low = torch.where(place.isnan(), 0.0, place).floor().clamp(max=max(bins - 2, 0))
    beyond = place - low
    near = (low + (beyond > 0.5)).long()
    far = (low + (beyond <= 0.5)).long().clamp(max=bins - 1)
    share = torch.where(beyond > 0.5, 1 - beyond, beyond)
    own, other = (x.gather(-1, i[..., None]).squeeze(-1) for i in (near, far))
    chosen = torch.arange(bins, device=x.device) == near[..., None]
    return -logsigmoid(-log_odds(x, chosen, own)[0]) + share * bounded(own - other)


def log_softmax_parts(x: Tensor, cold: float) -> tuple[Tensor, Tensor, Tensor]:
    """How far each logit is below the largest, the softmax, and the log-sum-exp over the largest."""
    largest = x.detach().amax(-1, keepdim=True)
    below = bounded(bounded(largest - x) * cold)
    powers = torch.exp(-below)
    first = torch.zeros_like(x, dtype=torch.bool).scatter(-1, x.detach().argmax(-1, keepdim=True), True)
    others = torch.where(first, 0.0, powers).sum(-1)
    # Its own exponential is 1, but has a derivative.
    of_first = torch.where(first, -below, 0.0).sum(-1)
    total = torch.exp(of_first) + others
    return below, powers / total[..., None], torch.log1p(others * torch.exp(-of_first)) + of_first


def kl_terms(x: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """temperature**2 * KL(targets || softmax(x / temperature))."""
    below, _, log_total = log_softmax_parts(x, 1 / temperature)
    # As good as 0 where its logarithm would be that of a number below the normal ones.
    nothing = targets.abs() < (2.0**-120 if x.dtype == torch.float32 else 2.0**-1000)
    log_q = torch.log(torch.where(nothing, 1.0, targets))
    divergence = (targets * (log_q + below)).sum(-1) + targets.sum(-1) * log_total
    return bounded(temperature**2 * divergence)


def entropy_terms(x: Tensor) -> Tensor:
    """The entropy of softmax(x)."""
    below, p, log_total = log_softmax_parts(x, 1.0)
    return log_total + (p * below).sum(-1)


def row_loss(
    logits: Tensor,
    targets: Tensor | None,
    weight: Tensor | None,
    avg_factor: Tensor | float | None,
    class_weight: Tensor | None,
    formula: str,
    alpha: float,
    gamma: float,
    label_smoothing: float,
    poly_epsilon: float,
    temperature: float,
    ignore_index: int,
    class_dim: int,
    reduction: str,
) -> Tensor:
    """The operator behind the functions of ``iouloss.functional.rows``, which document it."""
    check_row_loss(
        logits,
        targets,
        weight,
        avg_factor,
        class_weight,
        formula,
        alpha,
        gamma,
        label_smoothing,
        poly_epsilon,
        temperature,
        ignore_index,
        class_dim,
        reduction,
    )
    by_class = formula in ("softmax_focal", "cross_entropy")
    given = logits if by_class or targets is None else targets
    dtype = compute_dtype(logits, given)
    x = logits.to(dtype).movedim(class_dim, -1)
    if formula == "entropy":
        return reduce_loss(entropy_terms(x), weight, avg_factor, reduction)
    assert targets is not None  # for the type checker
    if formula == "distribution_focal":
        return reduce_loss(distribution_terms(x, targets.to(dtype)), weight, avg_factor, reduction)
    if formula == "kl_div":
        q = targets.to(dtype).movedim(class_dim, -1)
        return reduce_loss(kl_terms(x, q, temperature), weight, avg_factor, reduction)
    if avg_factor is None and reduction == "mean":
        counted = class_weight if formula == "cross_entropy" else None
        avg_factor = kept_weight(logits, targets, counted, ignore_index, class_dim)
    kept = (targets >= 0) & (targets < x.shape[-1]) & (targets != ignore_index)
    x = torch.where(kept[..., None], x, 0.0)
    weights = torch.ones(x.shape[-1], dtype=dtype, device=x.device) * alpha
    if class_weight is not None:
        weights = weights * class_weight.to(dtype)
    loss = class_terms(x, torch.where(kept, targets, 0), weights, gamma, label_smoothing, poly_epsilon)
    loss = torch.where(kept, loss, 0.0)
    weight = None if weight is None else torch.where(kept, weight, 0.0)
    return reduce_loss(loss, weight, avg_factor, reduction)
