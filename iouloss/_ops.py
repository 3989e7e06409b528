"""The two operators, each served by the fastest backend that can serve the call.

- pure PyTorch (``iouloss.reference``): where the extension is missing or has no kernel for the device, inside a
  ``torch.func`` transform, or where a gradient is wanted that the kernels do not give;
- ``torch.ops.iouloss``: while ``torch.compile`` or ``torch.export`` traces;
- ``iouloss._C``: else. It enters the same C++ dispatcher without the cost of ``torch.ops``.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import _backend, reference
from .reference.checks import check_box_loss, check_sigmoid_focal_loss
from .reference.focal import kept_elements

_extension: Any = _backend.extension
_has_cuda = _backend.has_cuda
_functorch_level = torch._C._functorch.maybe_current_level
_is_compiling = torch.compiler.is_compiling


def _fused(tensor: Any, *constants: Any) -> bool:
    """Whether the extension serves ``tensor``; ``constants`` are what it gives no gradient to."""
    # What is no tensor goes to the reference too: its checks say so.
    if _extension is None or not isinstance(tensor, Tensor):
        return False
    if not (tensor.is_cpu or (tensor.is_cuda and _has_cuda)) or _functorch_level() is not None:
        return False
    return not any(isinstance(constant, Tensor) and constant.requires_grad for constant in constants)


def _split(value: Any) -> tuple[Tensor | None, Any]:
    """An option that is a tensor or a number, as the pair that the operators take."""
    return (value, None) if isinstance(value, Tensor) else (None, value)


def _traced(avg_factor: Tensor | float | None, device: torch.device) -> Tensor | None:
    """A number as a tensor: the compiled graph then holds for every number, such as the size of a batch."""
    if avg_factor is None or isinstance(avg_factor, Tensor):
        return avg_factor
    return torch.full((), avg_factor, dtype=torch.float64, device=device)


def _call(function: Callable[..., Tensor], check: Callable[..., None], given: tuple[Any, ...], *args: Any) -> Tensor:
    """Call into the extension; where the binding refuses the type of an argument, say which and why."""
    try:
        return function(*args)
    except TypeError as error:
        if "incompatible function arguments" in str(error):
            check(*given)
        raise


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
) -> Tensor:
    """The loss of paired boxes; ``iouloss.functional.box_loss`` documents it."""
    given = (pred, target, weight, avg_factor, formula, parameter, reduction, fmt, eps)
    if not _fused(pred, weight, avg_factor):
        return reference.box_loss(*given)
    options = (formula, parameter, reduction, fmt, eps)
    if _is_compiling():
        args = (pred, target, weight, _traced(avg_factor, pred.device), None, *options)
        loss: Tensor = torch.ops.iouloss.box_loss(*args)
        return loss
    args = (pred, target, weight, *_split(avg_factor), *options)
    return _call(_extension.box_loss, check_box_loss, given, *args)


def sigmoid_focal_loss(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    avg_factor: Tensor | float | None,
    alpha: Tensor | float | None,
    gamma: float,
    reduction: str,
    ignore_index: int,
) -> Tensor:
    """The sigmoid focal loss; ``iouloss.functional.sigmoid_focal_loss`` documents it."""
    given = (logits, targets, weight, avg_factor, alpha, gamma, reduction, ignore_index)
    if not _fused(logits, targets, weight, avg_factor, alpha):
        return reference.sigmoid_focal_loss(*given)
    if avg_factor is None and reduction == "mean" and getattr(targets, "dtype", None) == torch.int64 and logits.ndim:
        avg_factor = kept_elements(logits, targets, ignore_index)
    options = (*_split(alpha), gamma, reduction, ignore_index)
    if _is_compiling():
        args = (logits, targets, weight, _traced(avg_factor, logits.device), None, *options)
        loss: Tensor = torch.ops.iouloss.sigmoid_focal_loss(*args)
        return loss
    args = (logits, targets, weight, *_split(avg_factor), *options)
    return _call(_extension.sigmoid_focal_loss, check_sigmoid_focal_loss, given, *args)
