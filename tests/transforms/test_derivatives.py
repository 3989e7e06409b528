"""Every derivative that torch can ask for, of every loss: forward mode, torch.func and what compilers make of both."""

import math
from collections.abc import Callable

import pytest
import torch
from backends import Backend, every_kind, one_kind
from cases import uniform
from every_loss import BOXES, ELEMENTS, REGIONS, ROWS, Loss, every_loss
from operators import arguments
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import grad, hessian, jacfwd, jacrev, jvp, linearize, vmap

import iouloss
from iouloss.reference import BoxInputs

# Where the reference serves every backend, and a call only has to find it.
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


@one_kind
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


@one_kind
def test_tangents_saturate(backend: Backend) -> None:
    """What overflows is the largest number, what comes from a NaN or Inf is NaN, and so is what a bad tangent makes."""
    dtype, largest = torch.float64, torch.finfo(torch.float64).max
    pred = torch.tensor([[1.0], [torch.inf], [torch.nan], [1.0]], dtype=dtype, device=backend.device)
    ways = torch.tensor([[1e308], [1.0], [1.0], [torch.inf]], dtype=dtype, device=backend.device)
    target = torch.zeros_like(pred)
    push = lambda loss, way: jvp(lambda x: loss(x, target, reduction="none"), (pred,), (way,))[1]  # noqa: E731
    got = push(iouloss.l2_loss, ways).squeeze(1).tolist()
    assert got[0] == largest and all(math.isnan(x) for x in got[1:])
    flat = torch.zeros(1, 4, dtype=dtype, device=backend.device)
    slopes = jvp(lambda x: iouloss.cdiou_loss(x, flat, eps=0.0), (flat,), (torch.ones_like(flat),))[1]
    assert slopes.isfinite()


@one_kind
def test_what_only_the_operators_are_asked_for_is_refused(backend: Backend) -> None:
    """The reference is chosen above them; a tangent given to an operator itself would be lost."""
    if not backend.compiled:
        pytest.skip("there are no operators")
    boxes = torch.rand(3, 4, device=backend.device)
    with forward_ad.dual_level(), pytest.raises(ValueError, match="got a tensor with a tangent"):
        dual = forward_ad.make_dual(boxes, torch.ones_like(boxes))
        torch.ops.iouloss.box_loss(**arguments("box_loss", BoxInputs(dual, boxes)))


@one_kind
@one_of_each
def test_upstream_gradients_with_a_tangent(backend: Backend, loss: Loss) -> None:
    """Of a loss that a kernel computed before: its tangent is the gradient's, or it is refused."""
    inputs = loss.on(backend.device).inputs
    leaf = inputs[0].detach().requires_grad_()
    value = loss(leaf, *inputs[1:])
    with forward_ad.dual_level():
        up = forward_ad.make_dual(torch.ones_like(value), 3 * torch.ones_like(value))
        try:
            (gradient,) = torch.autograd.grad(value, leaf, up)
        except (ValueError, RuntimeError) as error:
            assert "tangent" in str(error) or "forward" in str(error)
            return
        tangent = forward_ad.unpack_dual(gradient).tangent
        assert tangent is not None
        close(tangent, 3 * gradient.detach())
