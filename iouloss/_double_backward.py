"""Second derivatives of the compiled operators: their backward, written in differentiable PyTorch.

The backward of the extension is an operator of its own. Where autograd records it (``create_graph=True``), a function
registered here replaces it: it computes the gradient of the reference, which autograd can differentiate again with
respect to ``grad_output`` and the inputs. Otherwise the compiled kernels are called.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from . import reference

_library = torch.library.Library("iouloss", "IMPL", "Autograd")  # type: ignore[no-untyped-call]


def _box_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    mask: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    formula: str,
    parameter: float,
    fmt: str,
    eps: float,
    reduction: str,
) -> Tensor:
    by = divisor if avg_factor is None else avg_factor
    return reference.box_loss(pred, target, weight, by, formula, parameter, reduction, fmt, eps, mask=mask)


def _logit_loss(
    logits: Tensor,
    targets: Tensor,
    scores: Tensor | None,
    weight: Tensor | None,
    alpha_per_class: Tensor | None,
    gamma_per_class: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    formula: str,
    alpha1: float,
    alpha0: float,
    complement: bool,
    gamma: float,
    second: float,
    third: float,
    ignore_index: int | None,
    reduction: str,
) -> Tensor:
    exponent = gamma if gamma_per_class is None else gamma_per_class
    parameters = reference.Parameters(alpha1, alpha0, exponent, second, third, alpha_per_class, complement)
    by = divisor if avg_factor is None else avg_factor
    return reference.logit_loss(logits, targets, scores, weight, by, formula, parameters, ignore_index, reduction)


def _regression_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    formula: str,
    gamma: float,
    second: float,
    third: float,
    reduction: str,
) -> Tensor:
    by = divisor if avg_factor is None else avg_factor
    return reference.regression_loss(pred, target, weight, by, formula, gamma, second, third, reduction)


def _row_loss(
    logits: Tensor,
    targets: Tensor | None,
    weight: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    class_weight: Tensor | None,
    *options: Any,
) -> Tensor:
    by = divisor if avg_factor is None else avg_factor
    return reference.row_loss(logits, targets, weight, by, class_weight, *options)


def _region_loss(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    class_weight: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    *options: Any,
) -> Tensor:
    by = divisor if avg_factor is None else avg_factor
    return reference.region_loss(logits, targets, weight, class_weight, by, *options)


def _register(loss: Callable[..., Tensor], left: int = 0) -> None:
    """Register the backward of an operator, given its ``loss`` in PyTorch, with respect to its first argument.

    ``left`` is the number of tensors that the forward pass left: the backward takes them before the arguments of the
    loss.
    """
    name = loss.__name__.removeprefix("_") + "_backward"

    def backward(grad_output: Tensor, *arguments: Any) -> Tensor:
        first, second, *others = arguments[left:]
        if not (
            torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (grad_output, first, second))
        ):
            with torch._C._AutoDispatchBelowAutograd():
                gradient: Tensor = getattr(torch.ops.iouloss, name)(grad_output, *arguments)
            return gradient
        # If `first` requires a gradient, a view of it is differentiated: otherwise one tensor given as both arguments
        # would get one gradient for both. If not, a new leaf is.
        first = first.view_as(first) if first.requires_grad else first.detach().requires_grad_()
        derivative: Tensor
        (derivative,) = torch.autograd.grad(loss(first, second, *others), first, grad_output, create_graph=True)
        return derivative

    _library.impl(name, backward)  # type: ignore[no-untyped-call]


for _loss in (_box_loss, _logit_loss, _regression_loss, _row_loss):
    _register(_loss)
_register(_region_loss, left=1)
