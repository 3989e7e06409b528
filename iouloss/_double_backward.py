"""Second derivatives of the compiled operators: their backward, written in differentiable PyTorch.

The extension's backward is an operator of its own. Where autograd records it (``create_graph=True``), the kernels
registered here stand in for it: they take the gradient of the reference, which autograd can differentiate again in
``grad_output`` and in the inputs. Otherwise the compiled kernels are called.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import reference

_library = torch.library.Library("iouloss", "IMPL", "Autograd")  # type: ignore[no-untyped-call]


def _recorded(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _gradients(loss: Tensor, inputs: Sequence[Tensor], needed: Sequence[bool], grad_output: Tensor) -> list[Tensor]:
    """Gradients of ``loss``, which autograd can differentiate; an empty tensor where none is needed."""
    wanted = [tensor for tensor, need in zip(inputs, needed, strict=True) if need]
    gradients = iter(torch.autograd.grad(loss, wanted, grad_output, create_graph=True) if wanted else ())
    return [next(gradients) if need else tensor.new_empty(0) for tensor, need in zip(inputs, needed, strict=True)]


def _box_loss_backward(
    grad_output: Tensor,
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    formula: str,
    parameter: float,
    reduction: str,
    fmt: str,
    eps: float,
    pred_needs_grad: bool,
    target_needs_grad: bool,
) -> tuple[Tensor, Tensor]:
    options = (formula, parameter, reduction, fmt, eps)
    if not _recorded(grad_output, pred, target):
        with torch._C._AutoDispatchBelowAutograd():
            gradients: tuple[Tensor, Tensor] = torch.ops.iouloss.box_loss_backward(
                *(grad_output, pred, target, weight, avg_factor, divisor),
                *options,
                *(pred_needs_grad, target_needs_grad),
            )
        return gradients
    # Views, so that one tensor given as both arguments still gets two gradients.
    pred, target = _differentiable(pred, pred_needs_grad), _differentiable(target, target_needs_grad)
    loss = reference.box_loss(pred, target, weight, divisor if avg_factor is None else avg_factor, *options)
    grad_pred, grad_target = _gradients(loss, (pred, target), (pred_needs_grad, target_needs_grad), grad_output)
    return grad_pred, grad_target


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
    reduction: str,
    ignore_index: int,
) -> Tensor:
    if not _recorded(grad_output, logits):
        with torch._C._AutoDispatchBelowAutograd():
            gradient: Tensor = torch.ops.iouloss.sigmoid_focal_loss_backward(
                *(grad_output, logits, targets, weight, avg_factor, divisor),
                *(alpha_per_class, alpha, gamma, reduction, ignore_index),
            )
        return gradient
    logits = _differentiable(logits, True)
    loss = reference.sigmoid_focal_loss(
        *(logits, targets, weight, divisor if avg_factor is None else avg_factor),
        *(alpha if alpha_per_class is None else alpha_per_class, gamma, reduction, ignore_index),
    )
    return _gradients(loss, (logits,), (True,), grad_output)[0]


def _differentiable(tensor: Tensor, needs_grad: bool) -> Tensor:
    """A view to differentiate in; a leaf where only ``grad_output`` is to be differentiated."""
    return tensor.view_as(tensor) if tensor.requires_grad or not needs_grad else tensor.detach().requires_grad_()


_implementations: dict[str, Any] = {
    "box_loss_backward": _box_loss_backward,
    "sigmoid_focal_loss_backward": _sigmoid_focal_loss_backward,
}
for _name, _function in _implementations.items():
    _library.impl(_name, _function)  # type: ignore[no-untyped-call]
