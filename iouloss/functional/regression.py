"""The losses of the difference of two tensors: of boxes' coordinates, offsets, or anything else."""

import math

from torch import Tensor

from .. import _ops
from .._inputs import regression_inputs
from ..checks.numbers import check_number, check_positive

__all__ = [
    "balanced_l1_loss",
    "focal_l1_loss",
    "huber_loss",
    "l1_loss",
    "l2_loss",
    "smooth_l1_loss",
]


def l1_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
) -> Tensor:
    """L1 loss ``|d|`` with ``d = pred - target``. What is said here holds for every loss of a difference.

    Args:
        pred: any shape; float64, float32, float16 or bfloat16. Any strides.
        target: of ``pred``'s shape and device; may differ in dtype. It gets a gradient if it requires one.
        weight: a floating factor for each loss: of ``pred``'s shape, or one per row, ``pred.shape[:-1]``.
        reduction: ``"none"`` gives the losses in ``pred``'s shape, ``"sum"`` their sum, ``"mean"`` their sum divided by
            ``avg_factor``, or by their number where there is none.
        avg_factor: a number, or a tensor of one element on ``pred``'s device, which is never read back to the host.
            Only with ``reduction="mean"``. Where it is 0, the loss and its gradient are 0.

    Returns:
        The loss, in float64 if ``pred`` or ``target`` is float64, else in float32, in which it is computed.

    Raises:
        TypeError: if an argument's type or dtype is not one of the above.
        ValueError: if a shape, a device, a name or a number is not one of the above.

    The gradient at ``d == 0`` is 0. Finite numbers give a finite loss and gradient: what overflows saturates. A NaN or
    Inf gives NaN. Equal inputs give equal bits from run to run on the same device.
    """
    inputs = regression_inputs(pred, target, weight, avg_factor, "l1", reduction)
    return _ops.regression_loss(inputs)


def l2_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
) -> Tensor:
    """L2 loss ``d**2`` with ``d = pred - target``: the mean squared error, without a half.

    Arguments, errors and numbers are those of :func:`l1_loss`.
    """
    inputs = regression_inputs(pred, target, weight, avg_factor, "l2", reduction)
    return _ops.regression_loss(inputs)


def smooth_l1_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    beta: float = 1.0,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
) -> Tensor:
    """Smooth L1 loss: ``d**2 / (2 * beta)`` where ``|d| < beta``, else ``|d| - beta / 2``.

    ``beta`` is a finite number >= 0; 0 gives the L1 loss. The gradient, ``d / beta`` within [-1, 1], is continuous.
    Arguments, errors and numbers are those of :func:`l1_loss`.

    Paper: Girshick, *Fast R-CNN*, arXiv:1504.08083.
    """
    inputs = regression_inputs(pred, target, weight, avg_factor, "smooth_l1", reduction, beta=beta)
    return _ops.regression_loss(inputs)


def huber_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    delta: float = 1.0,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
) -> Tensor:
    """Huber loss: ``d**2 / 2`` where ``|d| < delta``, else ``delta * (|d| - delta / 2)``. ``delta`` is a number > 0.

    Arguments, errors and numbers are those of :func:`l1_loss`.
    """
    check_positive("delta", delta)
    inputs = regression_inputs(pred, target, weight, avg_factor, "smooth_l1", reduction, beta=delta, factor=delta)
    return _ops.regression_loss(inputs)


def balanced_l1_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    alpha: float = 0.5,
    gamma: float = 1.5,
    beta: float = 1.0,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
) -> Tensor:
    """Balanced L1 loss, with ``b = exp(gamma / alpha) - 1``.

    ``alpha / b * (b * |d| + 1) * ln(b * |d| / beta + 1) - alpha * |d|`` where ``|d| < beta``, else
    ``gamma * |d| + gamma / b - alpha * beta``. The parameters are numbers > 0, ``gamma / alpha`` at most 80. With
    ``beta=1`` the gradient is continuous; else it jumps at ``|d| == beta``, to ``gamma``.
    Arguments, errors and numbers are those of :func:`l1_loss`.

    Paper: Pang et al., *Libra R-CNN*, arXiv:1904.02701.
    """
    inputs = regression_inputs(
        pred, target, weight, avg_factor, "balanced_l1", reduction, alpha=alpha, beta=beta, gamma=gamma
    )
    return _ops.regression_loss(inputs)


def focal_l1_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    beta: float = 0.8,
    alpha: float | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
) -> Tensor:
    """Focal L1 loss: small errors count for less than in the L1 loss, and so do very large ones.

    ``-alpha * d**2 * (2 * ln(beta * |d|) - 1) / 4`` where ``|d| < 1``, else
    ``-alpha * ln(beta) * |d| + alpha * (2 * ln(beta) + 1) / 4``. ``beta`` is a number in [1 / e, 1]; ``alpha`` one > 0,
    by default ``e * beta``, for which the largest gradient, that at ``|d| == 1 / (e * beta)``, is 1. Value and gradient
    are continuous, and 0 at 0.
    Arguments, errors and numbers are those of :func:`l1_loss`.

    Paper: Zhang et al., *Focal and Efficient IOU Loss*, arXiv:2101.08158.
    """
    wants = "a number in [1 / e, 1]"
    check_number("beta", beta, wants)
    if not math.exp(-1) <= beta <= 1:
        raise ValueError(f"beta: got {float(beta)}, wants {wants}")
    if alpha is None:
        alpha = math.e * beta
    inputs = regression_inputs(pred, target, weight, avg_factor, "focal_l1", reduction, alpha=alpha, beta=beta)
    return _ops.regression_loss(inputs)
