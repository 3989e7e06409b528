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
from ._inputs import BoxInputs, LogitInputs, RegionInputs, RegressionInputs, RowInputs
from ._tables import UNFUSED_LOGITS
from ._tracing import check_whole, implements_operators, is_transformed
from .checks.boxes import check_box_loss
from .checks.logits import check_logit_loss
from .checks.regions import check_region_loss
from .checks.regression import check_regression_loss
from .checks.rows import BY_CLASS, check_row_loss
from .reference.boxes import kept_boxes
from .reference.common import as_tensor

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


# The inputs of each operator, and what checks them where the extension does not.
_DESCRIBED: dict[str, tuple[Callable[..., Any], Callable[[Any], None]]] = {
    "box_loss": (BoxInputs, check_box_loss),
    "logit_loss": (LogitInputs, check_logit_loss),
    "regression_loss": (RegressionInputs, check_regression_loss),
    "row_loss": (RowInputs, check_row_loss),
    "region_loss": (RegionInputs, check_region_loss),
}


def _check(name: str, given: tuple[Any, ...]) -> None:
    """Raise the error that names what is wrong with the inputs, whose fields are ``given``."""
    inputs, check = _DESCRIBED[name]
    check(inputs(*given))


# What the binding and the dispatcher raise for a kind of argument that no kernel takes.
_REFUSALS = (TypeError, NotImplementedError)


def _explain(error: Exception, name: str, given: tuple[Any, ...]) -> None:
    """Raise the error of the check, which names the argument, if the binding or the dispatcher refused its kind."""
    words = ("incompatible function arguments", "wants a dense (strided) one")
    if isinstance(error, NotImplementedError) or any(each in str(error) for each in words):
        _check(name, given)


def _serve(name: str, given: tuple[Any, ...], arguments: tuple[Any, ...], constants: tuple[Any, ...]) -> Tensor:
    """Call the operator ``name`` of the extension, or the reference if that cannot serve the call.

    ``given`` are the fields of the inputs, ``arguments`` those of the operator. ``constants`` get no gradient.
    """
    if not _fused(arguments[0], *constants):
        if name == "region_loss":
            check_whole("logits", arguments[0])
        return _pure(name, given)
    if _is_compiling():
        return _numbers.call(name, arguments)
    try:
        loss: Tensor = getattr(_extension, name)(*arguments)
    except _REFUSALS as error:
        _explain(error, name, given)
        raise
    return loss


def _pure(name: str, given: tuple[Any, ...]) -> Tensor:
    loss: Tensor = getattr(reference, name)(_DESCRIBED[name][0](*given))
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
    mask: Tensor | None,
    avg_factor: Tensor | float | None,
    formula: str,
    fmt: str,
    eps: float,
    reduction: str,
    eps_mode: str = "torchvision",
    *,
    gamma: float = 0.0,
    lambda_: float = 0.0,
    beta: float = 0.0,
) -> Tensor:
    """The loss of paired boxes; ``iouloss.functional.box_loss`` documents it."""
    # Every tuple is written out: to unpack one into another costs as much as the rest of this function.
    given = (pred, target, weight, mask, avg_factor, formula, gamma, lambda_, beta, fmt, eps, reduction, eps_mode)
    loss: Tensor
    if _checking.wanted:
        _checking.box_loss(BoxInputs(*given))
    plain = isinstance(eps_mode, str) and eps_mode == "torchvision"
    if not plain or not _fused(pred, weight, avg_factor):
        return _pure("box_loss", given)
    if mask is not None:
        _check("box_loss", given)
        mask, avg_factor = kept_boxes(BoxInputs(*given))
    if _is_compiling():
        by = _traced(avg_factor, pred.device)
        return _numbers.call("box_loss", (pred, target, weight, mask, by, None, *given[5:-1]))
    by, divisor = (None, None) if avg_factor is None else _split(avg_factor)
    try:
        loss = _extension.box_loss(
            pred, target, weight, mask, by, divisor, formula, gamma, lambda_, beta, fmt, eps, reduction
        )
    except _REFUSALS as error:
        _explain(error, "box_loss", given)
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
    of_loss: tuple[str, tuple[Any, ...]],
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
    except (TypeError, NotImplementedError, ValueError):  # the checks of the loss give the better message
        _check(*of_loss)
        raise
    return kept


def _classes_last(tensor: Any, class_dim: int, dims: int) -> Any:
    """Move the classes of a tensor with a value per logit to its last dimension; leave others as they are."""
    return tensor if tensor is None or tensor.ndim < dims else tensor.movedim(class_dim, -1)


def logit_loss(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    avg_factor: Tensor | float | None,
    formula: str,
    ignore_index: int | None,
    reduction: str,
    class_dim: int,
    *,
    scores: Tensor | None = None,
    alpha_per_class: Tensor | None = None,
    balance: Tensor | None = None,
    alpha1: float = 1.0,
    alpha0: float = 1.0,
    complement: bool = False,
    alpha: float = 0.0,
    beta: float = 0.0,
    gamma: float = 0.0,
    gamma_neg: float = 0.0,
    gamma_pos: float = 0.0,
    margin: float = 0.0,
    label_smoothing: float = 0.0,
    smooth_all: bool = False,
    epsilon1: float = 0.0,
    epsilon0: float = 0.0,
    scale: float = 0.0,
    iou_weighted: bool = True,
) -> Tensor:
    """A loss of logits and their targets; ``iouloss.functional`` documents them.

    Some of the varifocal losses have no kernel: the reference serves them, on every device.
    """
    # fmt: off
    given = (
        logits, targets, scores, weight, alpha_per_class, balance, avg_factor, formula, alpha1, alpha0, complement,
        alpha, beta, gamma, gamma_neg, gamma_pos, margin, label_smoothing, smooth_all, epsilon1, epsilon0, scale,
        iou_weighted, ignore_index, reduction, class_dim,
    )
    # fmt: on
    if _checking.wanted:
        _checking.logit_loss(LogitInputs(*given))
    if type(class_dim) is not int or class_dim != -1:  # what is no int may not be comparable
        _check("logit_loss", given)
        by_class = alpha_per_class is not None or balance is not None
        if by_class or any(x is not None and x.ndim < logits.ndim for x in (targets, weight)):
            moved = (_classes_last(x, class_dim, logits.ndim) for x in given[:4])
            loss = _last_classes_loss((*moved, *given[4:-1], -1))
            return loss.movedim(-1, class_dim) if reduction == "none" else loss
        given = (*given[:-1], -1)  # each logit by itself
    return _last_classes_loss(given)


def _last_classes_loss(given: tuple[Any, ...]) -> Tensor:
    """A loss of logits whose classes come last."""
    logits, targets, scores, weight, alpha_per_class, balance, avg_factor, formula = given[:8]
    ignore_index, reduction = given[-3:-1]
    if formula in UNFUSED_LOGITS or (formula == "varifocal" and _are_indices(targets, logits)):
        return _pure("logit_loss", given)
    if avg_factor is None and isinstance(reduction, str) and reduction == "mean":
        avg_factor = _kept_weight(logits, targets, None, ignore_index, -1, "logit", ("logit_loss", given))
    return _serve(
        "logit_loss",
        given,
        given[:6] + divisors(avg_factor, logits) + given[7:-1],
        constants=(targets, scores, weight, alpha_per_class, balance, avg_factor),
    )


def regression_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    avg_factor: Tensor | float | None,
    formula: str,
    reduction: str,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 1.0,
    factor: float = 1.0,
) -> Tensor:
    """A loss of the difference of two tensors; ``iouloss.functional`` documents them."""
    options = (formula, alpha, beta, gamma, factor, reduction)
    given = (pred, target, weight, avg_factor, *options)
    if _checking.wanted:
        _checking.regression_loss(RegressionInputs(*given))
    arguments = (pred, target, weight, *divisors(avg_factor, pred), *options)
    return _serve("regression_loss", given, arguments, constants=(weight, avg_factor))


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
    options = (
        *(class_weight, formula, alpha, gamma, label_smoothing, poly_epsilon, temperature),
        *(ignore_index, class_dim, reduction),
    )
    given = (logits, targets, weight, avg_factor, *options)
    if _checking.wanted:
        _checking.row_loss(RowInputs(*given))
    if formula in BY_CLASS and targets is not None and not _are_indices(targets, logits):
        return _pure("row_loss", given)
    if avg_factor is None and isinstance(reduction, str) and reduction == "mean" and formula in BY_CLASS:
        counted = class_weight if formula == "cross_entropy" else None
        avg_factor = _kept_weight(logits, targets, counted, ignore_index, class_dim, "row", ("row_loss", given))
    return _serve(
        "row_loss",
        given,
        (logits, targets, weight, *divisors(avg_factor, logits), *options),
        constants=(targets, weight, avg_factor, class_weight),
    )


def region_loss(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    class_weight: Tensor | None,
    avg_factor: Tensor | float | None,
    kind: str,
    activation: str | None,
    *options: Any,
) -> Tensor:
    """A loss of regions; the functions of ``iouloss.functional.regions`` document them."""
    options = (kind, "none" if activation is None else activation, *options)
    *named, pixel_weight, soft_labels = options
    ignore_index = named[-2]

    given = (logits, targets, weight, class_weight, avg_factor, *options)
    if _checking.wanted:
        _checking.region_loss(RegionInputs(*given))
    dense = ignore_index is not None and not _are_indices(targets, logits)
    if soft_labels is not False or pixel_weight is not None or dense:
        return _pure("region_loss", given)
    return _serve(
        "region_loss",
        given,
        (logits, targets, weight, class_weight, *divisors(avg_factor, logits), *named),
        constants=(targets, weight, class_weight, avg_factor),
    )
