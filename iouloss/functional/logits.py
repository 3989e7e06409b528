"""The losses of single logits: classification, qualities, heat maps."""

from typing import Any

from torch import Tensor

from .. import _ops
from .._inputs import logit_inputs
from ..checks.numbers import check_bool, check_fraction, check_not_negative, check_number, check_positive
from ..checks.tensors import check_per_class, check_tensors

__all__ = [
    "equalized_focal_loss",
    "focal_star_loss",
    "gaussian_focal_loss",
    "poly1_focal_loss",
    "quality_focal_loss",
    "sigmoid_focal_loss",
    "varifocal_loss",
]

_Option = Tensor | float | None


def _balance(alpha: _Option, gamma: float = 1.0) -> dict[str, Any]:
    """The options that multiply losses of target 1 by alpha / gamma, and those of target 0 by (1 - alpha) / gamma."""
    if alpha is None or isinstance(alpha, Tensor):
        per_class = alpha is not None
        return {"alpha1": 1 / gamma, "alpha0": 1 / gamma, "alpha_per_class": alpha, "complement": per_class}
    check_fraction("alpha", alpha, ", a tensor [C] or None")
    return {"alpha1": alpha / gamma, "alpha0": (1 - alpha) / gamma}


def sigmoid_focal_loss(
    logits: Tensor,
    targets: Tensor,
    alpha: Tensor | float | None = 0.25,
    gamma: float = 2.0,
    *,
    label_smoothing: float = 0.0,
    smooth_all: bool = False,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Sigmoid focal loss: ``alpha_t * q**gamma * BCE`` of each logit ``x`` and its target ``z``.

    - ``BCE = z * softplus(-x) + (1 - z) * softplus(x)``
    - ``q = z * sigmoid(-x) + (1 - z) * sigmoid(x)``, the error of the probability; ``1 - p_t`` in the paper
    - ``alpha_t = alpha * z + (1 - alpha) * (1 - z)``, or 1 without ``alpha``

    Args:
        logits: ``[..., C]``, or with the classes in any other dimension (any shape with dense targets); float64,
            float32, float16 or bfloat16. Any strides.
        targets: either *dense*, of ``logits``' shape, with values in [0, 1], hard or soft, in a floating dtype, bool,
            uint8, int8, int16, int32 or int64; or *class indices*, in any of those integer dtypes and of ``logits``'
            shape without the classes: row ``i`` of the logits has the target 1 in column ``targets[i]`` and 0
            elsewhere. An index outside ``[0, C)`` is background: 0 in every column. So with one class, index 0 is that
            class, target 1, and not background. Dense targets that require a gradient get one (the call is then served
            by pure PyTorch).
        alpha: the share of the positives: a number in [0, 1], a floating tensor ``[C]`` with one per class, or None.
        gamma: a finite number >= 0; 0 gives the (balanced) cross entropy.
        label_smoothing: a number in [0, 1]: the cross entropy has the target
            ``z * (1 - label_smoothing) + label_smoothing / 2``.
        smooth_all: a bool: whether ``alpha_t`` and ``q`` have that target, too, as in keras-cv. They have ``z``
            otherwise, as in apex: smoothing then does not change which logits the loss looks at.
        weight: a floating factor for each loss: of ``logits``' shape, or one per row, their shape without the classes.
        reduction: ``"none"`` gives the losses in ``logits``' shape, ``"sum"`` their sum, ``"mean"`` their sum
            divided by ``avg_factor``, or by the number of logits that are not ignored where there is none.
        avg_factor: a number, or a tensor of one element on ``logits``' device, which is never read back to the
            host. Only with ``reduction="mean"``. Where it is 0, the loss and its gradient are 0.
        ignore_index: a row with this class index, or a logit with this dense target, has neither loss nor gradient,
            whatever its logits and weights are. None means -100 for class indices, and ignores no dense target.
        class_dim: the dimension of the classes: 1 for a head's ``[N, C, H, W]``.

    Returns:
        The loss, in float64 if ``logits`` or dense ``targets`` are float64, else in float32, in which it is
        computed. Without logits, ``"mean"`` and ``"sum"`` are 0, with a graph.

    Raises:
        TypeError: if an argument's type or dtype is not one of the above.
        ValueError: if a shape, a device, a name or a number is not one of the above.

    Range [0, inf). The loss is smooth in ``x`` and has no kink. Computed without ``1 - p``: value and gradient keep
    their relative precision for confident logits, right or wrong, and are finite for every finite logit and every
    ``gamma``, below 1 too. A NaN logit gives NaN. A logit of -inf, a masked class, has neither loss nor gradient where
    its target is 0, and an infinite loss with a finite gradient where it is not. The same holds of +inf, with target 1
    instead of 0. Equal inputs give equal bits from run to run on the same device; nothing synchronises with the host.

    What is said here of arguments, errors and numbers holds for every loss of logits. Numbers are refused where they
    are outside float32's range.

    Paper: Lin et al., *Focal Loss for Dense Object Detection*, arXiv:1708.02002.

    Example:
        >>> logits = torch.randn(8, 80, requires_grad=True)
        >>> classes = torch.randint(0, 81, (8,))  # 80 is background
        >>> positives = (classes < 80).sum().clamp(min=1)
        >>> sigmoid_focal_loss(logits, classes, avg_factor=positives).backward()
    """
    check_not_negative("gamma", gamma)
    check_bool("smooth_all", smooth_all)
    check_fraction("label_smoothing", label_smoothing)
    formula = "smooth_focal" if label_smoothing != 0 else "square_focal" if gamma == 2 else "focal"
    inputs = logit_inputs(
        logits,
        targets,
        weight,
        avg_factor,
        formula,
        ignore_index,
        reduction,
        gamma=gamma,
        label_smoothing=label_smoothing,
        smooth_all=smooth_all,
        class_dim=class_dim,
        **_balance(alpha),
    )
    return _ops.logit_loss(inputs)


def focal_star_loss(
    logits: Tensor,
    targets: Tensor,
    alpha: Tensor | float | None = None,
    gamma: float = 2.0,
    beta: float = 1.0,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    class_dim: int = -1,
) -> Tensor:
    """The focal loss FL*: ``alpha_t * softplus(-(gamma * x_t + beta)) / gamma`` with ``x_t = (2 * z - 1) * x``.

    ``gamma`` is a number > 0 and ``beta`` any; fvcore's ``sigmoid_focal_loss_star`` has ``beta=0``. Smooth in ``x``.
    The common arguments, the errors and the numbers are those of :func:`sigmoid_focal_loss`.

    Paper: Lin et al., *Focal Loss for Dense Object Detection*, arXiv:1708.02002, appendix A.
    """
    inputs = logit_inputs(
        logits,
        targets,
        weight,
        avg_factor,
        "focal_star",
        ignore_index,
        reduction,
        beta=beta,
        gamma=gamma,
        class_dim=class_dim,
        **_balance(alpha),
    )
    return _ops.logit_loss(inputs)


def poly1_focal_loss(
    logits: Tensor,
    targets: Tensor,
    epsilon: float = 1.0,
    alpha: float | None = 0.25,
    gamma: float = 2.0,
    *,
    balance_epsilon: bool = False,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Poly-1 focal loss: the sigmoid focal loss and ``epsilon * q**(gamma + 1)``, ``q`` the error of the probability.

    The added term is not multiplied by ``alpha_t``, as in most implementations, unless ``balance_epsilon``; where
    ``alpha_t`` is 0 there is none. ``epsilon`` is a finite number. Smooth in ``x``.
    The common arguments, the errors and the numbers are those of :func:`sigmoid_focal_loss`.

    Paper: Leng et al., *PolyLoss*, arXiv:2204.12511.
    """
    check_number("epsilon", epsilon)
    check_bool("balance_epsilon", balance_epsilon)
    if alpha is not None:
        check_fraction("alpha", alpha, " or None")
    alpha1, alpha0 = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    epsilon1, epsilon0 = (epsilon if balance_epsilon else epsilon / each if each else 0.0 for each in (alpha1, alpha0))
    for each in (epsilon1, epsilon0):
        check_number("epsilon / alpha", each)
    inputs = logit_inputs(
        logits,
        targets,
        weight,
        avg_factor,
        "poly_focal",
        ignore_index,
        reduction,
        alpha1=alpha1,
        alpha0=alpha0,
        gamma=gamma,
        epsilon1=epsilon1,
        epsilon0=epsilon0,
        class_dim=class_dim,
    )
    return _ops.logit_loss(inputs)


def equalized_focal_loss(
    logits: Tensor,
    targets: Tensor,
    balance: Tensor,
    alpha: Tensor | float | None = 0.25,
    gamma: float = 2.0,
    scale: float = 8.0,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Equalized focal loss: the sigmoid focal loss with an exponent and a factor for each class.

    With ``gamma_j = gamma + scale * (1 - balance[j])``, the loss of class ``j`` is
    ``gamma_j / gamma * alpha_t * q**gamma_j * BCE``. ``balance`` is a floating tensor ``[C]`` of numbers in [0, 1]:
    in the paper the ratio of the accumulated gradients of a class's positives and negatives, 1 at first; the caller
    keeps it. It gets no gradient. ``gamma`` is a number > 0, ``scale`` one >= 0. Smooth in ``x``.
    The common arguments, the errors and the numbers are those of :func:`sigmoid_focal_loss`.

    Paper: Li et al., *Equalized Focal Loss for Dense Long-Tailed Object Detection*, arXiv:2201.02593.
    """
    check_positive("gamma", gamma)
    check_not_negative("scale", scale)
    check_not_negative("gamma + scale", gamma + scale)
    check_tensors(balance=balance)
    check_per_class("balance", balance, logits, class_dim)
    inputs = logit_inputs(
        logits,
        targets,
        weight,
        avg_factor,
        "equalized_focal",
        ignore_index,
        reduction,
        balance=balance.detach(),
        gamma=gamma,
        scale=scale,
        class_dim=class_dim,
        **_balance(alpha, gamma),
    )
    return _ops.logit_loss(inputs)


def quality_focal_loss(
    logits: Tensor,
    targets: Tensor,
    scores: Tensor | None = None,
    beta: float = 2.0,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Quality focal loss: ``|z - p|**beta * BCE`` with ``p = sigmoid(x)`` and the quality ``z`` in [0, 1] as target.

    ``targets`` are dense qualities; or class indices, where the column of the class has the target ``scores[i]``, of
    their shape (the IoU of the prediction, detached; without ``scores``, 1), and every other column 0. ``beta``
    is a number >= 0. The minimum, 0, is at ``p == z``, where the gradient is 0 for every ``beta`` (beside it, for
    ``beta < 1``, it is without bound). mmdetection sums over the classes before it divides: pass its ``avg_factor`` for
    the same numbers.
    The common arguments, the errors and the numbers are those of :func:`sigmoid_focal_loss`.

    Paper: Li et al., *Generalized Focal Loss*, arXiv:2006.04388.
    """
    inputs = logit_inputs(
        logits,
        targets,
        weight,
        avg_factor,
        "quality_focal",
        ignore_index,
        reduction,
        scores=scores,
        beta=beta,
        class_dim=class_dim,
    )
    return _ops.logit_loss(inputs)


def varifocal_loss(
    logits: Tensor,
    targets: Tensor,
    alpha: float = 0.75,
    gamma: float = 2.0,
    *,
    iou_weighted: bool = True,
    differentiable_focus: bool = True,
    scores: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Varifocal loss: ``z * BCE`` where the quality ``z`` is positive, else ``alpha * p**gamma * softplus(x)``.

    ``targets`` are dense: the IoU in the column of the object's class, 0 elsewhere; or class indices, where the column
    of the class is the positive, of quality ``scores[i]`` (of their shape; without ``scores``, 1), and every other one
    a negative. A positive by its index remains one where its score is 0: its loss is 0 then, not that of a negative.
    Without ``iou_weighted`` a positive counts as 1 whatever its quality. ``alpha`` weighs negatives alone, and without
    ``differentiable_focus`` their factor ``p**gamma`` is constant to the gradient, as in RT-DETR. Class indices, and
    that, are served by pure PyTorch, on every device. Smooth in ``x``; in a dense ``z`` the loss jumps at 0.
    The common arguments, the errors and the numbers are those of :func:`sigmoid_focal_loss`.

    Paper: Zhang et al., *VarifocalNet*, arXiv:2008.13367.
    """
    check_not_negative("alpha", alpha)
    check_bool("iou_weighted", iou_weighted)
    check_bool("differentiable_focus", differentiable_focus)
    formula = "varifocal" if differentiable_focus else "varifocal_detached"
    inputs = logit_inputs(
        logits,
        targets,
        weight,
        avg_factor,
        formula,
        ignore_index,
        reduction,
        scores=scores,
        alpha0=alpha,
        gamma=gamma,
        iou_weighted=iou_weighted,
        class_dim=class_dim,
    )
    return _ops.logit_loss(inputs)


def gaussian_focal_loss(
    logits: Tensor,
    targets: Tensor,
    alpha: float = 2.0,
    beta: float = 4.0,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Penalty-reduced focal loss of heat maps, as in CornerNet and CenterNet.

    ``(1 - p)**alpha * softplus(-x)`` where the target is exactly 1, ``(1 - z)**beta * p**alpha * softplus(x)``
    elsewhere. ``targets`` are dense, Gaussians around the peaks. The papers divide the sum by the number of peaks:
    ``avg_factor=targets.eq(1).sum().clamp(min=1)``. Exact where the papers clamp the probability. Smooth in ``x``.
    The common arguments, the errors and the numbers are those of :func:`sigmoid_focal_loss`.

    Paper: Law and Deng, *CornerNet*, arXiv:1808.01244.
    """
    inputs = logit_inputs(
        logits,
        targets,
        weight,
        avg_factor,
        "gaussian_focal",
        ignore_index,
        reduction,
        alpha=alpha,
        beta=beta,
        class_dim=class_dim,
    )
    return _ops.logit_loss(inputs)
