"""Operators that take their numbers as tensors, so that one compiled graph serves every number.

A compiler treats each ``float`` argument of an operator as a constant of the graph. An exponent that is annealed would
be compiled anew at each step. So every operator ``X`` has a twin ``X_of_numbers``, made from the schema of ``X``: each
``float`` becomes a tensor of one element on the CPU. The twin serves calls in which the compiler has seen a number
change. All other calls go to ``X`` itself.
"""

import re
from typing import Any

import torch
from torch import Tensor

from . import _backend
from ._inputs import SHAPES
from .reference.common import as_tensor, is_constant

_names: dict[str, list[str]] = {}  # of each operator: its arguments
_places: dict[str, tuple[int, ...]] = {}  # of each operator: which of its arguments are numbers
_library = torch.library.Library("iouloss", "FRAGMENT")  # type: ignore[no-untyped-call]


def _arguments(name: str, inputs: Any) -> list[Any]:
    """The arguments of the operator ``name``. A number ``avg_factor`` becomes a tensor, and ``divisor`` is None.

    One compiled graph then serves every divisor, such as the size of a batch.
    """
    avg_factor = inputs.avg_factor
    if avg_factor is not None and not isinstance(avg_factor, Tensor):
        inputs = inputs._replace(avg_factor=as_tensor(avg_factor, torch.float64, inputs[0].device))
    return [getattr(inputs, each, None) for each in _names[name]]


def call(name: str, inputs: Any) -> Tensor:
    """Call the operator ``name``, or its twin if a number has changed, while a compiler traces."""
    loss: Tensor
    arguments = _arguments(name, inputs)
    if all(is_constant(arguments[place]) for place in _places[name]):
        loss = getattr(torch.ops.iouloss, name)(*arguments)
        return loss
    for place in _places[name]:
        arguments[place] = as_tensor(arguments[place], torch.float64, "cpu")
    loss = getattr(torch.ops.iouloss, f"{name}_of_numbers")(*arguments)
    return loss


def _define(name: str) -> None:
    operator = getattr(torch.ops.iouloss, name).default
    schema = operator._schema
    places = tuple(i for i, argument in enumerate(schema.arguments) if str(argument.type) == "float")
    tensors = re.sub(r"\bfloat (?=\w)", "Tensor ", str(schema).partition("(")[2])
    twin, backward_name = f"{name}_of_numbers", f"{name}_of_numbers_backward"
    for signature in (f"{twin}({tensors}", f"{backward_name}(Tensor grad_output, int by, {tensors}"):
        _library.define(signature, tags=torch.Tag.pt2_compliant_tag)  # type: ignore[no-untyped-call]

    def numbered(arguments: tuple[Any, ...], read: bool) -> list[Any]:
        """The arguments of the operator itself, given those of its twin; 1 for each number if ``read`` is False."""
        given = list(arguments)
        for place in places:
            given[place] = given[place].item() if read else 1.0
        return given

    def loss(*arguments: Any) -> Tensor:
        value: Tensor = operator(*numbered(arguments, read=True))
        return value

    def fake_loss(*arguments: Any) -> Tensor:
        value: Tensor = operator(*numbered(arguments, read=False))
        return value

    def loss_backward(grad_output: Tensor, by: int, *arguments: Any) -> Tensor:
        given = [x.detach() if isinstance(x, Tensor) else x for x in numbered(arguments, read=True)]
        leaf = given[by].requires_grad_()
        with torch.enable_grad():
            value = operator(*given)
        gradient: Tensor = torch.autograd.grad(value, leaf, grad_output)[0].contiguous()
        return gradient

    def fake_backward(grad_output: Tensor, by: int, *arguments: Any) -> Tensor:
        gradient: Tensor = arguments[by].new_empty(arguments[by].shape)
        return gradient

    def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.options = [None if isinstance(x, Tensor) else x for x in inputs]
        ctx.save_for_backward(*(x if isinstance(x, Tensor) else None for x in inputs))

    def differentiate(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        inputs = [option if x is None else x for x, option in zip(ctx.saved_tensors, ctx.options, strict=True)]
        backward = getattr(torch.ops.iouloss, backward_name)
        return tuple(backward(grad_output, i, *inputs) if ctx.needs_input_grad[i] else None for i in range(len(inputs)))

    _names[name], _places[name] = [argument.name for argument in schema.arguments], places
    for each, implementation, fake in ((twin, loss, fake_loss), (backward_name, loss_backward, fake_backward)):
        _library.impl(each, implementation, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
        torch.library.register_fake(f"iouloss::{each}", fake, lib=_library)
    torch.library.register_autograd(f"iouloss::{twin}", differentiate, setup_context=keep, lib=_library)


if _backend.extension is not None:
    for _name in SHAPES:
        _define(_name)
