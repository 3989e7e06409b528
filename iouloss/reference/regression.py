"""The losses of the difference of two tensors in plain PyTorch."""

from collections.abc import Callable

import torch
from torch import Tensor

from .._inputs import RegressionInputs
from ..checks.regression import check_regression_loss
from .common import compute_dtype, expm1, finite_losses, log, reduce_loss, smooth_l1


def _l1(d: Tensor, o: RegressionInputs) -> Tensor:
    return d.abs()


def _l2(d: Tensor, o: RegressionInputs) -> Tensor:
    return d * d


def _smooth_l1(d: Tensor, o: RegressionInputs) -> Tensor:
    return o.factor * smooth_l1(d.abs(), o.beta)


def _balanced_l1(d: Tensor, o: RegressionInputs) -> Tensor:
    """Beyond beta it is a line. No term is a difference of near equals, however small the logarithm's argument is."""
    distance, alpha, gamma, beta = d.abs(), o.alpha, o.gamma, o.beta
    is_near = distance < beta
    share = torch.where(is_near, distance / beta, 1.0)
    t = share * expm1(gamma / alpha)
    log_by_t, growth_by_t = _by_t(t)
    beyond = torch.where(is_near, 0.0, distance - beta)
    return alpha * share * (beta * growth_by_t + (1 - beta) * log_by_t) + gamma * beyond


def _by_t(t: Tensor) -> tuple[Tensor, Tensor]:
    """``log(1 + t) / t`` and ``((1 + t) * log(1 + t) - t) / t``, by their series where t is small."""
    is_small = t < 0.25
    small, large = torch.where(is_small, t, 0.0), torch.where(is_small, 1.0, t)
    log_by_t = growth_by_t2 = torch.zeros_like(t)
    for k in range(24, -1, -1):
        log_by_t = 1 / (k + 1) - small * log_by_t
        growth_by_t2 = 1 / ((k + 1) * (k + 2)) - small * growth_by_t2
    log = torch.log1p(large)
    return (
        torch.where(is_small, log_by_t, log / large),
        torch.where(is_small, small * growth_by_t2, ((1 + large) * log - large) / large),
    )


def _focal_l1(d: Tensor, o: RegressionInputs) -> Tensor:
    distance, alpha, log_beta = d.abs(), o.alpha, log(o.beta)
    near = (distance < 1) & (distance > 0)
    inside = torch.where(near, distance, 1.0)
    small = torch.where(near, -0.25 * alpha * inside**2 * (2 * (torch.log(inside) + log_beta) - 1), 0.0)
    return torch.where(distance < 1, small, -alpha * log_beta * distance + alpha * (2 * log_beta + 1) / 4)


FORMULAS: dict[str, Callable[[Tensor, RegressionInputs], Tensor]] = {
    "l1": _l1,
    "l2": _l2,
    "smooth_l1": _smooth_l1,
    "balanced_l1": _balanced_l1,
    "focal_l1": _focal_l1,
}


def regression_loss(inputs: RegressionInputs) -> Tensor:
    """The operator behind the losses of differences; ``iouloss.functional`` documents them."""
    check_regression_loss(inputs)
    pred, target, weight, avg_factor, formula, reduction, *_ = inputs
    dtype = compute_dtype(pred, target)
    both = torch.stack((pred.to(dtype), target.to(dtype)), -1)
    loss = finite_losses(lambda pair: FORMULAS[formula](pair[..., 0] - pair[..., 1], inputs), both)
    if weight is not None and weight.shape != pred.shape:
        weight = weight[..., None]
    return reduce_loss(loss, weight, avg_factor, reduction)
