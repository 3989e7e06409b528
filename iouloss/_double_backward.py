"""Second derivatives of the compiled operators: their backward, written in differentiable PyTorch.

The backward of the extension is an operator of its own. Where autograd records it (``create_graph=True``), a function
registered here replaces it: it computes the gradient of the reference, which autograd can differentiate again with
respect to ``grad_output`` and the inputs. Otherwise the compiled kernels are called.
"""

from typing import Any

import torch
from torch import Tensor

from . import reference
from ._inputs import SHAPES, of_operator

_library = torch.library.Library("iouloss", "IMPL", "Autograd")  # type: ignore[no-untyped-call]


def _register(name: str) -> None:
    """Register ``{name}_backward`` in differentiable PyTorch."""
    operator = getattr(torch.ops.iouloss, name + "_backward")
    loss = getattr(reference, name)
    names = [argument.name for argument in getattr(torch.ops.iouloss, name).default._schema.arguments]
    saved = len(operator.default._schema.arguments) - len(names) - 1  # by the forward pass; they come first

    def backward(grad_output: Tensor, *arguments: Any) -> Tensor:
        first, second, *others = arguments[saved:]
        if not (
            torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (grad_output, first, second))
        ):
            with torch._C._AutoDispatchBelowAutograd():
                gradient: Tensor = operator(grad_output, *arguments)
            return gradient
        # The gradient is that of `first` alone. If it requires one, a view stands in for it: without the view, a tensor
        # passed as both arguments would get the sum of both gradients. If it requires none, a new leaf stands in.
        first = first.view_as(first) if first.requires_grad else first.detach().requires_grad_()
        derivative: Tensor
        value = loss(of_operator(name, (first, second, *others), names))
        (derivative,) = torch.autograd.grad(value, first, grad_output, create_graph=True)
        return derivative

    _library.impl(name + "_backward", backward)  # type: ignore[no-untyped-call]


for _name in SHAPES:
    _register(_name)
