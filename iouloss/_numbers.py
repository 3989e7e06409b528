"""Operators that take their numbers as tensors, so that one compiled graph serves every number.

A compiler treats each ``float`` argument of an operator as a constant of the graph. So a loss whose exponent is
annealed would be compiled anew at each step. To prevent that, every operator ``X`` has a twin ``X_of_numbers``, made
from the schema of ``X``: each ``float`` becomes a tensor of one element on the CPU. The twin serves calls in which the
compiler has seen a number change. All other calls go to ``X`` itself.
"""

import re
from typing import Any

import torch
from torch import Tensor

from . import _backend
from ._inputs import SHAPES
from .checks.tensors import check_devices, check_floating, check_shape, shape_of
from .reference.common import as_tensor, is_constant

_names: dict[str, list[str]] = {}  # of each operator: the names of its arguments
_positions: dict[str, tuple[int, ...]] = {}  # of each operator: the positions of the arguments that are floats
_library = torch.library.Library("iouloss", "FRAGMENT")  # type: ignore[no-untyped-call]


def _arguments(name: str, inputs: Any) -> list[Any]:
    """The arguments of the operator ``name``, from the inputs of a loss.

    An ``avg_factor`` that is a number becomes a tensor, and ``divisor`` is None. One compiled graph then serves every
    divisor, such as the size of a batch.
    """
    avg_factor = inputs.avg_factor
    if avg_factor is not None and not isinstance(avg_factor, Tensor):
        inputs = inputs._replace(avg_factor=as_tensor(avg_factor, torch.float64, inputs[0].device))
    return [getattr(inputs, each, None) for each in _names[name]]


def call(name: str, inputs: Any) -> Tensor:
    """While a compiler traces: call the operator ``name``, or its twin if the compiler has seen a number change."""
    loss: Tensor
    arguments = _arguments(name, inputs)
    if all(is_constant(arguments[i]) for i in _positions[name]):
        loss = getattr(torch.ops.iouloss, name)(*arguments)
        return loss
    for i in _positions[name]:
        arguments[i] = as_tensor(arguments[i], torch.float64, "cpu")
    loss = getattr(torch.ops.iouloss, f"{name}_of_numbers")(*arguments)
    return loss


def _read(name: str, number: Tensor) -> float:
    if number.numel() != 1 or not number.is_cpu:
        raise ValueError(f"{name}: got shape {shape_of(number)} on {number.device}, wants one number on the CPU")
    return number.item()


def _define(name: str) -> None:
    operator = getattr(torch.ops.iouloss, name).default
    schema = operator._schema
    names = [argument.name for argument in schema.arguments]
    numbers = tuple(i for i, argument in enumerate(schema.arguments) if str(argument.type) == "float")
    tensors = re.sub(r"\bfloat (?=\w)", "Tensor ", str(schema).partition("(")[2])
    twin, backward_name = f"{name}_of_numbers", f"{name}_of_numbers_backward"
    for signature in (f"{twin}({tensors}", f"{backward_name}(Tensor grad_output, int position, {tensors}"):
        _library.define(signature, tags=torch.Tag.pt2_compliant_tag)  # type: ignore[no-untyped-call]

    def numbered(arguments: tuple[Any, ...], read: bool) -> list[Any]:
        """The operator's arguments, from those of its twin: each number read from its tensor, or 1 without ``read``."""
        given = list(arguments)
        for i in numbers:
            given[i] = _read(names[i], given[i]) if read else 1.0
        return given

    def loss(*arguments: Any) -> Tensor:
        value: Tensor = operator(*numbered(arguments, read=True))
        return value

    def fake_loss(*arguments: Any) -> Tensor:
        value: Tensor = operator(*numbered(arguments, read=False))
        return value

    def loss_backward(grad_output: Tensor, position: int, *arguments: Any) -> Tensor:
        given = [x.detach() if isinstance(x, Tensor) else x for x in numbered(arguments, read=True)]
        leaf = given[position] if position in (0, 1) else None  # the prediction, or the other of a pair
        if leaf is None or not leaf.is_floating_point():
            raise ValueError(f"position: got {position}, wants that of a tensor that has a gradient")
        leaf.requires_grad_()
        with torch.enable_grad():
            value = operator(*given)
        check_floating(grad_output=grad_output)
        check_shape("grad_output", grad_output, value.shape)
        check_devices("the loss", value, grad_output=grad_output)
        gradient: Tensor = torch.autograd.grad(value, leaf, grad_output)[0].contiguous()
        return gradient

    def fake_backward(grad_output: Tensor, position: int, *arguments: Any) -> Tensor:
        gradient: Tensor = arguments[position].new_empty(arguments[position].shape)
        return gradient

    def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.options = [None if isinstance(x, Tensor) else x for x in inputs]
        ctx.save_for_backward(*(x if isinstance(x, Tensor) else None for x in inputs))

    def differentiate(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        inputs = [option if x is None else x for x, option in zip(ctx.saved_tensors, ctx.options, strict=True)]
        backward = getattr(torch.ops.iouloss, backward_name)
        return tuple(backward(grad_output, i, *inputs) if ctx.needs_input_grad[i] else None for i in range(len(inputs)))

    _names[name], _positions[name] = names, numbers
    for each, implementation, fake in ((twin, loss, fake_loss), (backward_name, loss_backward, fake_backward)):
        _library.impl(each, implementation, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
        torch.library.register_fake(f"iouloss::{each}", fake, lib=_library)
    torch.library.register_autograd(f"iouloss::{twin}", differentiate, setup_context=keep, lib=_library)


if _backend.extension is not None:
    for _name in SHAPES:
        _define(_name)
