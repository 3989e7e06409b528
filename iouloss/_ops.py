"""The operators, each served by the fastest backend that can serve the call. It gets the inputs of the loss whole.

- ``iouloss.reference`` (pure PyTorch): if the extension is missing or has no kernel for the device, inside a
  ``torch.func`` transform or forward-mode AD, for ``torch.export``, or if a call needs what the kernels do not have: a
  gradient with respect to another argument, another eps_mode;
- ``torch.ops.iouloss``: while ``torch.compile`` traces;
- ``iouloss._C``: otherwise. It enters the same C++ dispatcher without the cost of ``torch.ops``.
"""

from typing import Any

import torch
from torch import Tensor

from . import _backend, _checking, _numbers, reference
from ._inputs import BoxInputs, LogitInputs, RegionInputs, RegressionInputs, RowInputs
from ._tracing import implements_operators, is_transformed
from .checks import CHECKS
from .checks.logits import UNFUSED
from .checks.rows import BY_CLASS
from .reference.boxes import kept_boxes

_extension: Any = _backend.extension
_has_cuda = _backend.has_cuda
_is_compiling = torch.compiler.is_compiling

# What the binding and the dispatcher raise for a kind of argument that no kernel takes.
_REFUSALS = (TypeError, NotImplementedError)


def _fused(tensor: Any, *constants: Any) -> bool:
    """Whether the extension serves ``tensor``; ``constants`` are the arguments to which it gives no gradient."""
    # What is not a tensor goes to the reference as well: the checks there name it. Every test here costs tens of
    # nanoseconds, which a call on few boxes feels. isinstance(None, Tensor) costs most, so None is looked for first.
    if _extension is None or (type(tensor) is not Tensor and implements_operators(tensor)):
        return False
    for constant in constants:
        if constant is not None and isinstance(constant, Tensor) and constant.requires_grad:
            return False
    return (tensor.is_cpu or (tensor.is_cuda and _has_cuda)) and not is_transformed()


def _explain(error: Exception, name: str, inputs: Any) -> None:
    """If the binding or the dispatcher refused an argument's kind, raise the error of the check, which names it."""
    words = ("incompatible function arguments", "wants a dense (strided) one")
    if isinstance(error, NotImplementedError) or any(each in str(error) for each in words):
        CHECKS[name](inputs)


def _pure(name: str, inputs: Any) -> Tensor:
    loss: Tensor = getattr(reference, name)(inputs)
    return loss


def _serve(name: str, inputs: Any, *constants: Any) -> Tensor:
    """The loss by the operator ``name``, or by the reference if the extension does not serve the call.

    ``constants`` are the inputs to which the operator gives no gradient.
    """
    if not _fused(inputs[0], *constants):
        return _pure(name, inputs)
    if _is_compiling():
        return _numbers.call(name, inputs)
    try:
        loss: Tensor = getattr(_extension, name)(inputs)
    except _REFUSALS as error:
        _explain(error, name, inputs)
        raise
    return loss


def box_loss(inputs: BoxInputs) -> Tensor:
    """The loss of paired boxes; ``iouloss.functional.box_loss`` documents it."""
    if _checking.wanted:
        _checking.box_loss(inputs)
    eps_mode, weight, avg_factor = inputs.eps_mode, inputs.weight, inputs.avg_factor
    if not isinstance(eps_mode, str) or eps_mode != "torchvision":
        return _pure("box_loss", inputs)
    if inputs.mask is not None and _fused(inputs.pred, weight, avg_factor):
        CHECKS["box_loss"](inputs)
        mask, avg_factor = kept_boxes(inputs)
        inputs = inputs._replace(mask=mask, avg_factor=avg_factor)
    return _serve("box_loss", inputs, weight, avg_factor)


def _are_indices(targets: Any, logits: Any) -> bool:
    """Whether these are class indices, judged by their dimensions alone: the checks come later."""
    return isinstance(targets, Tensor) and isinstance(logits, Tensor) and targets.ndim < logits.ndim


def _kept_weight(name: str, inputs: Any, class_weight: Any, unit: str) -> Tensor | None:
    """The divisor of a mean in which something may be ignored. One operator counts it.

    It is None if nothing can be ignored, or if the reference serves the call, because the reference counts by itself.
    """
    logits, targets, ignore_index = inputs.logits, inputs.targets, inputs.ignore_index
    if not _fused(logits, class_weight) or not isinstance(targets, Tensor):
        return None
    if ignore_index is None and targets.ndim >= logits.ndim:
        return None
    arguments = (logits, targets, class_weight, ignore_index, inputs.class_dim, unit)
    try:
        kept: Tensor
        kept = torch.ops.iouloss.kept_weight(*arguments) if _is_compiling() else _extension.kept_weight(arguments)
    except (TypeError, NotImplementedError, ValueError):  # the checks of the loss have a better message
        CHECKS[name](inputs)
        raise
    return kept


def _is_mean(inputs: Any) -> bool:
    """Whether the loss is a mean whose divisor is still to be counted."""
    return inputs.avg_factor is None and isinstance(inputs.reduction, str) and inputs.reduction == "mean"


def _classes_last(tensor: Any, class_dim: int, dims: int) -> Any:
    """Move the classes of a tensor with a value per logit to its last dimension; leave others as they are."""
    return tensor if tensor is None or tensor.ndim < dims else tensor.movedim(class_dim, -1)


def logit_loss(inputs: LogitInputs) -> Tensor:
    """A loss of logits and their targets; ``iouloss.functional`` documents each.

    Some of the varifocal losses have no kernel: the reference serves them, on every device.
    """
    if _checking.wanted:
        _checking.logit_loss(inputs)
    class_dim = inputs.class_dim
    if type(class_dim) is int and class_dim == -1:  # other types may fail to compare
        return _last_classes_loss(inputs)
    CHECKS["logit_loss"](inputs)
    logits, targets, weight = inputs.logits, inputs.targets, inputs.weight
    by_class = inputs.alpha_per_class is not None or inputs.balance is not None
    if not by_class and all(x is None or x.ndim == logits.ndim for x in (targets, weight)):
        return _last_classes_loss(inputs._replace(class_dim=-1))  # each logit by itself
    moved = {n: _classes_last(getattr(inputs, n), class_dim, logits.ndim) for n in ("logits", "targets", "weight")}
    loss = _last_classes_loss(inputs._replace(**moved, class_dim=-1))
    return loss.movedim(-1, class_dim) if inputs.reduction == "none" else loss


def _last_classes_loss(inputs: LogitInputs) -> Tensor:
    """A loss of logits whose classes come last."""
    logits, targets, weight, avg_factor, formula, _, _, scores, alpha_per_class, balance, *_ = inputs
    if formula in UNFUSED or (formula == "varifocal" and _are_indices(targets, logits)):
        return _pure("logit_loss", inputs)
    if _is_mean(inputs):
        avg_factor = _kept_weight("logit_loss", inputs, None, "logit")
        if avg_factor is not None:
            inputs = inputs._replace(avg_factor=avg_factor)
    return _serve("logit_loss", inputs, targets, scores, weight, alpha_per_class, balance, avg_factor)


def regression_loss(inputs: RegressionInputs) -> Tensor:
    """A loss of the difference of two tensors; ``iouloss.functional.regression`` documents each."""
    if _checking.wanted:
        _checking.regression_loss(inputs)
    return _serve("regression_loss", inputs, inputs.weight, inputs.avg_factor)


def row_loss(inputs: RowInputs) -> Tensor:
    """A loss on rows of logits; ``iouloss.functional.rows`` documents each.

    The kernels know class indices, places between bins, and the probabilities of the KL divergence. Dense targets of
    the other losses go to the reference, on every device.
    """
    if _checking.wanted:
        _checking.row_loss(inputs)
    logits, targets, class_weight, formula = inputs.logits, inputs.targets, inputs.class_weight, inputs.formula
    if formula in BY_CLASS:
        if targets is not None and not _are_indices(targets, logits):
            return _pure("row_loss", inputs)
        if _is_mean(inputs):
            counted = class_weight if formula == "cross_entropy" else None
            inputs = inputs._replace(avg_factor=_kept_weight("row_loss", inputs, counted, "row"))
    return _serve("row_loss", inputs, targets, inputs.weight, inputs.avg_factor, class_weight)


def region_loss(inputs: RegionInputs) -> Tensor:
    """A loss of regions; ``iouloss.functional.regions`` documents each."""
    if _checking.wanted:
        _checking.region_loss(inputs)
    targets = inputs.targets
    dense = inputs.ignore_index is not None and not _are_indices(targets, inputs.logits)
    if inputs.soft_labels is not False or inputs.pixel_weight is not None or dense:
        return _pure("region_loss", inputs)
    return _serve("region_loss", inputs, targets, inputs.weight, inputs.class_weight, inputs.avg_factor)
