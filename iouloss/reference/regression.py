"""The losses of the difference of two tensors in plain PyTorch."""

from collections.abc import Callable

import torch
from torch import Tensor

from .._inputs import RegressionInputs
from .checks import check_regression_loss
from .common import compute_dtype, expm1, finite_losses, reduce_loss, smooth_l1


def _l1(d: Tensor, gamma: float, second: float, third: float) -> Tensor:
    return d.abs()


def _l2(d: Tensor, gamma: float, second: float, third: float) -> Tensor:
    return d * d


def _smooth_l1(d: Tensor, gamma: float, second: float, third: float) -> Tensor:
    """``third`` times the smooth L1 loss with beta = ``second``."""
    return third * smooth_l1(d.abs(), second)


def _balanced_l1(d: Tensor, gamma: float, second: float, third: float) -> Tensor:
    distance, alpha, slope, beta = d.abs(), gamma, second, third
    b = expm1(slope / alpha)
    near = distance < beta
    t = torch.where(near, distance, 0.0) * (b / beta)
    log = torch.log1p(t)
    inside = alpha / b * ((beta * t + 1) * log - beta * t)
    return torch.where(near, inside, slope * distance + (slope / b - alpha * beta))


def _focal_l1(d: Tensor, gamma: float, second: float, third: float) -> Tensor:
    distance, alpha, log_beta = d.abs(), gamma, second
    near = (distance < 1) & (distance > 0)
    inside = torch.where(near, distance, 1.0)
    small = torch.where(near, -0.25 * alpha * inside**2 * (2 * (torch.log(inside) + log_beta) - 1), 0.0)
    return torch.where(distance < 1, small, -alpha * log_beta * distance + alpha * (2 * log_beta + 1) / 4)


FORMULAS: dict[str, Callable[[Tensor, float, float, float], Tensor]] = {
    "l1": _l1,
    "l2": _l2,
    "smooth_l1": _smooth_l1,
    "balanced_l1": _balanced_l1,
    "focal_l1": _focal_l1,
}


def regression_loss(inputs: RegressionInputs) -> Tensor:
    """The operator behind the losses of differences; ``iouloss.functional`` documents them."""
    check_regression_loss(inputs)
    pred, target, weight, avg_factor, formula, gamma, second, third, reduction = inputs
    dtype = compute_dtype(pred, target)
    both = torch.stack((pred.to(dtype), target.to(dtype)), -1)
    loss = finite_losses(lambda pair: FORMULAS[formula](pair[..., 0] - pair[..., 1], gamma, second, third), both)
    if weight is not None and weight.shape != pred.shape:
        weight = weight[..., None]
    return reduce_loss(loss, weight, avg_factor, reduction)
