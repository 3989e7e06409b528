"""Every derivative that torch can ask for, of every loss: forward mode, torch.func and what compilers make of both."""

from collections.abc import Callable

import pytest
import torch
from cases import uniform
from conftest import KINDS, Backend
from every_loss import BOXES, ELEMENTS, REGIONS, ROWS, Loss, every_loss
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import grad, hessian, jacfwd, jacrev, jvp, linearize, vmap

every_kind = pytest.mark.parametrize("backend", KINDS, indirect=True)
# Where the reference serves every backend, and a call only has to find it.
one_kind = pytest.mark.parametrize("backend", KINDS[-1:], indirect=True)
one_of_each = pytest.mark.parametrize(
    "loss", (BOXES[15], ELEMENTS[0], ELEMENTS[-5], ROWS[4], REGIONS[2]), ids=lambda x: x.id
)


def close(got: Tensor | tuple[Tensor, ...], wanted: Tensor | tuple[Tensor, ...]) -> None:
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-11)


def total(loss: Loss) -> Callable[..., Tensor]:
    return lambda *inputs: loss(*inputs, reduction="sum")


def backwards(loss: Callable[..., Tensor], inputs: tuple[Tensor, ...], leaves: int) -> tuple[Tensor, ...]:
    """The gradient of a number by the first inputs, by autograd."""
    given = tuple(x.detach().requires_grad_(i < leaves) for i, x in enumerate(inputs))
    return torch.autograd.grad(loss(*given), given[:leaves])


def tangents_of(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple((2 * uniform(*x.shape, seed=7 + i) - 1).to(x.device) for i, x in enumerate(inputs))


def along(gradients: tuple[Tensor, ...], tangents: tuple[Tensor, ...]) -> Tensor:
    return sum((g * t).sum() for g, t in zip(gradients, tangents, strict=False))


@every_kind
@every_loss
def test_forward_mode_is_reverse_mode(backend: Backend, loss: Loss) -> None:
    inputs = loss.on(backend.device).inputs
    tangents = tangents_of(inputs)
    for leaves in {1, len(inputs)}:
        first, rest, moved = inputs[:leaves], inputs[leaves:], tangents[:leaves]
        wanted = along(backwards(total(loss), inputs, leaves), tangents)
        function = lambda *x, rest=rest: loss(*x, *rest, reduction="sum")  # noqa: E731
        close(jvp(function, first, moved)[1], wanted)
        with forward_ad.dual_level():
            duals = [forward_ad.make_dual(x, t) for x, t in zip(first, moved, strict=True)]
            close(forward_ad.unpack_dual(function(*duals)).tangent, wanted)
    jacobian = torch.autograd.functional.jacobian
    by_prediction = backwards(total(loss), inputs, 1)[0]
    function = lambda x: loss(x, *inputs[1:], reduction="sum")  # noqa: E731
    close(jacobian(function, inputs[0], strategy="forward-mode", vectorize=True), by_prediction)


@every_kind
@one_of_each
def test_linearize(backend: Backend, loss: Loss) -> None:
    inputs = loss.on(backend.device).inputs
    tangents = tangents_of(inputs)
    close(linearize(total(loss), *inputs)[1](*tangents), along(backwards(total(loss), inputs, len(inputs)), tangents))


@one_kind
@every_loss
def test_jacobians_and_hessians(backend: Backend, loss: Loss) -> None:
    inputs = loss.on(backend.device).inputs
    each = lambda *x: loss(*x, reduction="none")  # noqa: E731
    everything = tuple(range(len(inputs)))
    close(jacfwd(each, everything)(*inputs), jacrev(each, everything)(*inputs))
    by_first = lambda x: loss(x, *inputs[1:])  # noqa: E731
    close(hessian(by_first)(inputs[0]), torch.autograd.functional.hessian(by_first, inputs[0]))


@one_kind
@every_loss
def test_forward_mode_at_kinks(backend: Backend, loss: Loss) -> None:
    inputs = tuple(x.to(backend.device) for x in loss.kinks)
    tangents = tangents_of(inputs)
    each = lambda *x: loss(*x, reduction="none")  # noqa: E731
    _, got = jvp(each, inputs, tangents)
    assert got.isfinite().all()
    _, back = torch.func.vjp(each, *inputs)
    for i, unit in enumerate(torch.eye(got.numel(), dtype=got.dtype, device=got.device)):
        close(got.flatten()[i], along(back(unit.reshape(got.shape)), tangents))


@one_kind
@every_loss
def test_forward_mode_of_a_batch(backend: Backend, loss: Loss) -> None:
    """Of tangents for one input, and of inputs that each have one."""
    inputs = loss.on(backend.device).inputs
    tangent = tangents_of(inputs)[0]
    function = lambda x: loss(x, *inputs[1:])  # noqa: E731
    push = lambda x, t: jvp(function, (x,), (t,))[1]  # noqa: E731
    points, ways = torch.stack((inputs[0], inputs[0] + tangent / 9)), torch.stack((tangent, 1 - tangent))
    one_by_one = torch.stack([along((grad(function)(x),), (t,)) for x, t in zip(points, ways, strict=True)])
    close(vmap(push)(points, ways), one_by_one)
    close(vmap(push, (None, 0))(inputs[0], ways)[0], one_by_one[0])
