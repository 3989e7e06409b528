"""The entropies and cross entropies of single logits."""

from torch import Tensor

from .. import _ops
from .._inputs import logit_inputs
from ..checks.numbers import check_bool, check_fraction, check_not_negative
from ..checks.tensors import check_per_class

__all__ = [
    "asymmetric_loss",
    "binary_cross_entropy_loss",
    "binary_entropy_loss",
]


def binary_cross_entropy_loss(
    logits: Tensor,
    targets: Tensor,
    pos_weight: Tensor | float | None = None,
    *,
    alpha: float | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Binary cross entropy of logits: ``a * z * softplus(-x) + b * (1 - z) * softplus(x)``.

    ``a`` is ``pos_weight``, a number >= 0 or a floating tensor ``[C]`` (default 1), and ``b`` is 1; with ``alpha``
    (a number in [0, 1], balanced cross entropy) ``a`` is multiplied by it and ``b`` by ``1 - alpha``. Relative
    precision for every logit; ``torch.nn.functional.binary_cross_entropy_with_logits`` has an absolute one. Smooth
    in ``x``.
    The common arguments, the errors and the numbers are those of :func:`iouloss.functional.sigmoid_focal_loss`.
    """
    alpha1, alpha0, per_class = 1.0, 1.0, None
    if alpha is not None:
        check_fraction("alpha", alpha, " or None")
        alpha1, alpha0 = alpha, 1 - alpha
    if isinstance(pos_weight, Tensor):
        check_per_class("pos_weight", pos_weight, logits, class_dim)
        per_class = pos_weight
    elif pos_weight is not None:
        check_not_negative("pos_weight", pos_weight, ", a tensor [C] or None")
        alpha1 *= pos_weight
    inputs = logit_inputs(
        logits,
        targets,
        weight,
        avg_factor,
        "binary_cross_entropy",
        ignore_index,
        reduction,
        alpha_per_class=per_class,
        alpha1=alpha1,
        alpha0=alpha0,
        class_dim=class_dim,
    )
    return _ops.logit_loss(inputs)


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_neg: float = 4.0,
    gamma_pos: float = 1.0,
    margin: float = 0.05,
    *,
    differentiable_focus: bool = False,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Asymmetric loss of many labels: ``z * (1 - p)**gamma_pos * softplus(-x) - (1 - z) * m**gamma_neg * log(1 - m)``.

    ``m = max(p - margin, 0)``, with ``margin`` in [0, 1]. The factors ``(1 - p)**gamma_pos`` and ``m**gamma_neg`` are
    constants to the gradient, as in the authors' ``AsymmetricLoss``, unless ``differentiable_focus``, as in their
    ``AsymmetricLossOptimized``. Their sum over all logits is ``reduction="sum"``. No clamp of the logarithms. At
    ``p == margin`` the negatives' gradient is 0.
    The common arguments, the errors and the numbers are those of :func:`iouloss.functional.sigmoid_focal_loss`.

    Paper: Ridnik et al., *Asymmetric Loss for Multi-Label Classification*, arXiv:2009.14119.
    """
    check_bool("differentiable_focus", differentiable_focus)
    formula = "asymmetric_attached" if differentiable_focus else "asymmetric"
    inputs = logit_inputs(
        logits,
        targets,
        weight,
        avg_factor,
        formula,
        ignore_index,
        reduction,
        gamma_neg=gamma_neg,
        gamma_pos=gamma_pos,
        margin=margin,
        class_dim=class_dim,
    )
    return _ops.logit_loss(inputs)


def binary_entropy_loss(
    logits: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Entropy of ``p = sigmoid(x)``: ``-p * log(p) - (1 - p) * log(1 - p) = softplus(x) - x * p``, in [0, ln 2].

    Its gradient is ``-x * p * (1 - p)``. No logit cancels it.
    The common arguments, the errors and the numbers are those of :func:`iouloss.functional.sigmoid_focal_loss`.
    """
    targets = logits.detach() if isinstance(logits, Tensor) else logits  # a placeholder that is not read
    inputs = logit_inputs(logits, targets, weight, avg_factor, "binary_entropy", None, reduction, class_dim=class_dim)
    return _ops.logit_loss(inputs)
