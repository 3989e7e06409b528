"""Second derivatives of the compiled operators: their backward, written in differentiable PyTorch.

The extension's backward is an operator of its own. Where autograd records it (``create_graph=True``), the kernels
registered here stand in for it: they take the gradient of the reference, which autograd can differentiate again in
``grad_output`` and in the inputs. Otherwise the compiled kernels are called.
"""

from typing import Any

import torch
from torch import Tensor

from . import reference

_library = torch.library.Library("iouloss", "IMPL", "Autograd")  # type: ignore[no-untyped-call]


def _recorded(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _differentiable(tensor: Tensor) -> Tensor:
    """A view to differentiate in, so that one tensor given as both arguments still gets two gradients; a leaf where
    only ``grad_output`` is to be differentiated."""
    return tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()


def _gradient(loss: Tensor, tensor: Tensor, grad_output: Tensor) -> Tensor:
    """The gradient of ``loss`` by ``tensor``, which autograd can differentiate."""
    return torch.autograd.grad(loss, tensor, grad_output, create_graph=True)[0]


def _box_loss_backward(
    grad_output: Tensor,
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
    if not _recorded(grad_output, pred, target):
        with torch._C._AutoDispatchBelowAutograd():
            gradient: Tensor = torch.ops.iouloss.box_loss_backward(
                *(grad_output, pred, target, weight, mask, avg_factor, divisor),
                *(formula, parameter, fmt, eps, reduction),
            )
        return gradient
    pred = _differentiable(pred)
    by = divisor if avg_factor is None else avg_factor
    loss = reference.box_loss(*(pred, target, weight, by, formula, parameter, reduction, fmt, eps), mask=mask)
    return _gradient(loss, pred, grad_output)


def _sigmoid_focal_loss_backward(
    grad_output: Tensor,
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    alpha_per_class: Tensor | None,
    alpha: float | None,
    gamma: float,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    if not _recorded(grad_output, logits):
        with torch._C._AutoDispatchBelowAutograd():
            gradient: Tensor = torch.ops.iouloss.sigmoid_focal_loss_backward(
                *(grad_output, logits, targets, weight, avg_factor, divisor),
                *(alpha_per_class, alpha, gamma, ignore_index, reduction),
            )
        return gradient
    logits = _differentiable(logits)
    loss = reference.sigmoid_focal_loss(
        *(logits, targets, weight, divisor if avg_factor is None else avg_factor),
        *(alpha if alpha_per_class is None else alpha_per_class, gamma, reduction, ignore_index),
    )
    return _gradient(loss, logits, grad_output)


_implementations: dict[str, Any] = {
    "box_loss_backward": _box_loss_backward,
    "sigmoid_focal_loss_backward": _sigmoid_focal_loss_backward,
}
for _name, _function in _implementations.items():
    _library.impl(_name, _function)  # type: ignore[no-untyped-call]
