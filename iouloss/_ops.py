"""The operators, each served by the fastest backend that can serve the call.

- ``iouloss.reference`` (pure PyTorch): if the extension is missing or has no kernel for the device, inside a
  ``torch.func`` transform or forward-mode AD, for ``torch.export``, or if a call needs what the kernels do not have: a
  gradient with respect to another argument, another eps_mode;
- ``torch.ops.iouloss``: while ``torch.compile`` traces;
- ``iouloss._C``: otherwise. It enters the same C++ dispatcher without the cost of ``torch.ops``.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import _backend, _checking, _numbers, reference
from ._tracing import check_whole, implements_operators, is_transformed
from .reference.boxes import kept_boxes
from .reference.checks import check_box_loss, check_logit_loss, check_regression_loss
from .reference.common import as_tensor
from .reference.logits import UNFUSED, Parameters
from .reference.region_checks import check_region_loss
from .reference.row_checks import BY_CLASS, check_row_loss

_extension: Any = _backend.extension
_has_cuda = _backend.has_cuda
_is_compiling = torch.compiler.is_compiling


def _fused(tensor: Any, *constants: Any) -> bool:
    """Whether the extension serves ``tensor``; ``constants`` are the arguments to which it gives no gradient."""
    # A value that is not a tensor goes to the reference, too, whose checks name it. Every test here costs tens of
    # nanoseconds, which shows in a call on few boxes; isinstance(None, Tensor) costs more than the others.
    if _extension is None or (type(tensor) is not Tensor and implements_operators(tensor)):
        return False
    for constant in constants:
        if constant is not None and isinstance(constant, Tensor) and constant.requires_grad:
            return False
    return (tensor.is_cpu or (tensor.is_cuda and _has_cuda)) and not is_transformed()


def _split(value: Any) -> tuple[Tensor | None, Any]:
    """An option that is a tensor or a number, as the pair that the operators take."""
    return (value, None) if isinstance(value, Tensor) else (None, value)


def _traced(avg_factor: Tensor | float | None, device: torch.device) -> Tensor | None:
    """A number as a tensor: one compiled graph then serves every number, such as the size of a batch."""
    if avg_factor is None or isinstance(avg_factor, Tensor):
        return avg_factor
    return as_tensor(avg_factor, torch.float64, device)


def _explain(error: TypeError, check: Callable[..., None], *arguments: Any) -> None:
    """Raise the error of ``check``, which names the argument, if the binding or the operator refused its kind."""
    if any(words in str(error) for words in ("incompatible function arguments", "wants a dense (strided) one")):
        check(*arguments)


def dispatch(
    name: str,
    arguments: tuple[Any, ...],
    *,
    constants: tuple[Any, ...],
    pure: Callable[[], Tensor],
    check: Callable[[], None],
) -> Tensor:
    """Call the operator ``name`` of the extension, or ``pure()`` if that cannot serve the call.

    ``constants`` are the arguments that get no gradient. ``check`` raises the error that names a bad argument.
    """
    if not _fused(arguments[0], *constants):
        if name == "region_loss":
            check_whole("logits", arguments[0])
        return pure()
    if _is_compiling():
        return _numbers.call(name, arguments)
    try:
        loss: Tensor = getattr(_extension, name)(*arguments)
    except TypeError as error:
        _explain(error, check)
        raise
    return loss


def divisors(avg_factor: Tensor | float | None, beside: Tensor) -> tuple[Tensor | None, Any]:
    """``avg_factor`` as the pair that the operators take: a tensor, or a number."""
    if avg_factor is None:
        return None, None
    return (_traced(avg_factor, beside.device), None) if _is_compiling() else _split(avg_factor)


def box_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    avg_factor: Tensor | float | None,
    formula: str,
    parameter: float,
    reduction: str,
    fmt: str,
    eps: float,
    eps_mode: str = "torchvision",
    mask: Tensor | None = None,
) -> Tensor:
    """The loss of paired boxes; ``iouloss.functional.box_loss`` documents it."""
    loss: Tensor
    if _checking.wanted:
        _checking.box_loss(pred, target, weight, avg_factor, formula, parameter, reduction, fmt, eps, eps_mode, mask)
    plain = isinstance(eps_mode, str) and eps_mode == "torchvision"
    if not plain or not _fused(pred, weight, avg_factor):
        options = (formula, parameter, reduction, fmt, eps, eps_mode, mask)
        return reference.box_loss(pred, target, weight, avg_factor, *options)
    if mask is not None:
        check_box_loss(pred, target, weight, avg_factor, formula, parameter, reduction, fmt, eps, eps_mode, mask)
        mask, avg_factor = kept_boxes(pred, mask, avg_factor, reduction)
    if _is_compiling():
        by = _traced(avg_factor, pred.device)
        return _numbers.call(
            "box_loss", (pred, target, weight, mask, by, None, formula, parameter, fmt, eps, reduction)
        )
    by, divisor = (None, None) if avg_factor is None else _split(avg_factor)
    try:
        loss = _extension.box_loss(pred, target, weight, mask, by, divisor, formula, parameter, fmt, eps, reduction)
    except TypeError as error:
        _explain(error, check_box_loss, pred, target, weight, avg_factor, formula, parameter, reduction, fmt, eps)
        raise
    return loss


def _are_indices(targets: Any, logits: Any) -> bool:
    """Whether these are class indices, judged by their dimensions alone: the checks come later."""
    return isinstance(targets, Tensor) and isinstance(logits, Tensor) and targets.ndim < logits.ndim


def _kept_weight(
    logits: Any,
    targets: Any,
    class_weight: Any,
    ignore_index: Any,
    class_dim: Any,
    unit: str,
    check: Callable[[], None],
) -> Tensor | None:
    """The divisor of a mean in which something may be ignored, counted by one operator.

    None if nothing may be ignored, or if the reference serves the call, since that counts by itself.
    """
    if not _fused(logits, class_weight) or not isinstance(targets, Tensor):
        return None
    if ignore_index is None and targets.ndim >= logits.ndim:
        return None
    operators = torch.ops.iouloss if _is_compiling() else _extension
    try:
        kept: Tensor = operators.kept_weight(logits, targets, class_weight, ignore_index, class_dim, unit)
    except (TypeError, ValueError):  # the checks of the loss give the better message
        check()
        raise
    return kept


def _classes_last(tensor: Any, class_dim: int, dims: int) -> Any:
    """Move the classes of a tensor with a value per logit to its last dimension; leave others as they are."""
    return tensor if tensor is None or tensor.ndim < dims else tensor.movedim(class_dim, -1)


def logit_loss(
    formula: str,
    logits: Tensor,
    targets: Tensor,
    parameters: Parameters,
    scores: Tensor | None,
    weight: Tensor | None,
    avg_factor: Tensor | float | None,
    ignore_index: int | None,
    reduction: str,
    class_dim: int = -1,
) -> Tensor:
    """A loss of logits and their targets; ``iouloss.functional`` documents them.

    Some of the varifocal losses have no kernel: the reference serves them, on every device.
    """
    if _checking.wanted:
        beside = (scores, weight, avg_factor, ignore_index, reduction, class_dim)
        _checking.logit_loss(formula, logits, targets, parameters, *beside)
    if class_dim != -1:
        check_logit_loss(logits, targets, scores, weight, avg_factor, parameters, ignore_index, reduction, class_dim)
        by_class = parameters.alpha_per_class is not None or isinstance(parameters.gamma, Tensor)
        if by_class or any(x is not None and x.ndim < logits.ndim for x in (targets, weight)):
            moved = (_classes_last(x, class_dim, logits.ndim) for x in (logits, targets, weight))
            logits, targets, weight = moved
            options = (scores, weight, avg_factor, ignore_index, reduction)
            loss = logit_loss(formula, logits, targets, parameters, *options)
            return loss.movedim(-1, class_dim) if reduction == "none" else loss
    given = avg_factor

    def pure() -> Tensor:
        options = (formula, parameters, ignore_index, reduction)
        return reference.logit_loss(logits, targets, scores, weight, given, *options)

    if formula in UNFUSED or (formula == "varifocal" and _are_indices(targets, logits)):
        return pure()

    def check() -> None:
        check_logit_loss(logits, targets, scores, weight, given, parameters, ignore_index, reduction)

    if avg_factor is None and isinstance(reduction, str) and reduction == "mean":
        avg_factor = _kept_weight(logits, targets, None, ignore_index, -1, "logit", check)
    alpha1, alpha0, gamma, second, third, alpha_per_class, complement = parameters
    gamma_per_class, exponent = _split(gamma)
    return dispatch(
        "logit_loss",
        (
            *(logits, targets, scores, weight, alpha_per_class, gamma_per_class, *divisors(avg_factor, logits)),
            *(formula, alpha1, alpha0, complement, 0.0 if exponent is None else exponent, second, third),
            *(ignore_index, reduction),
        ),
        constants=(targets, scores, weight, alpha_per_class, gamma_per_class, avg_factor),
        pure=pure,
        check=check,
    )


def regression_loss(
    formula: str,
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    avg_factor: Tensor | float | None,
    gamma: float,
    second: float,
    third: float,
    reduction: str,
) -> Tensor:
    """A loss of the difference of two tensors; ``iouloss.functional`` documents them."""
    if _checking.wanted:
        _checking.regression_loss(pred, target, weight, avg_factor, reduction)
    options = (formula, gamma, second, third, reduction)
    return dispatch(
        "regression_loss",
        (pred, target, weight, *divisors(avg_factor, pred), *options),
        constants=(weight, avg_factor),
        pure=lambda: reference.regression_loss(pred, target, weight, avg_factor, *options),
        check=lambda: check_regression_loss(pred, target, weight, avg_factor, reduction),
    )


def row_loss(
    logits: Tensor,
    targets: Tensor | None,
    weight: Tensor | None,
    avg_factor: Tensor | float | None,
    formula: str,
    reduction: str,
    class_dim: int,
    *,
    class_weight: Tensor | None = None,
    alpha: float = 1.0,
    gamma: float = 0.0,
    label_smoothing: float = 0.0,
    poly_epsilon: float = 0.0,
    temperature: float = 1.0,
    ignore_index: int | None = None,
) -> Tensor:
    """A loss on rows of logits; the functions of ``iouloss.functional.rows`` document them.

    The kernels know class indices, places and the probabilities of the KL divergence: the dense targets of the other
    losses are served by the reference, on every device.
    """
    options = (alpha, gamma, label_smoothing, poly_epsilon, temperature, ignore_index, class_dim, reduction)
    given = (logits, targets, weight, avg_factor, class_weight, formula, *options)
    if _checking.wanted:
        _checking.row_loss(*given)
    if formula in BY_CLASS and targets is not None and not _are_indices(targets, logits):
        return reference.row_loss(*given)
    constants = (targets, weight, avg_factor, class_weight)

    def check() -> None:
        check_row_loss(*given)

    if avg_factor is None and isinstance(reduction, str) and reduction == "mean" and formula in BY_CLASS:
        counted = class_weight if formula == "cross_entropy" else None
        avg_factor = _kept_weight(logits, targets, counted, ignore_index, class_dim, "row", check)
    return dispatch(
        "row_loss",
        (logits, targets, weight, *divisors(avg_factor, logits), class_weight, formula, *options),
        constants=constants,
        pure=lambda: reference.row_loss(*given),
        check=check,
    )


def region_loss(
    kind: str,
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    class_weight: Tensor | None,
    avg_factor: Tensor | float | None,
    activation: str | None,
    *options: Any,
) -> Tensor:
    """A loss of regions; the functions of ``iouloss.functional.regions`` document them."""
    *named, ignore_index, reduction, pixel_weight, soft_labels = options
    named = [kind, "none" if activation is None else activation, *named, ignore_index, reduction]
    given = (logits, targets, weight, class_weight, avg_factor, *named, pixel_weight, soft_labels)
    if _checking.wanted:
        _checking.region_loss(*given)
    dense = getattr(targets, "shape", None) == getattr(logits, "shape", None)
    if soft_labels is not False or pixel_weight is not None or (dense and ignore_index is not None):
        return reference.region_loss(*given)
    return dispatch(
        "region_loss",
        (logits, targets, weight, class_weight, *divisors(avg_factor, logits), *named),
        constants=(targets, weight, class_weight, avg_factor),
        pure=lambda: reference.region_loss(*given),
        check=lambda: check_region_loss(*given),
    )
