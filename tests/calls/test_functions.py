"""torch.func, second derivatives and opcheck."""

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
import torch
from backends import COMPILED, EMULATED, Backend, every_kind, of_the_reference
from cases import BOX_CASE, BOX_CASES, BoxCase, evaluate, every_case
from few import boxes, close, focal
from operators import arguments
from torch import Tensor

import iouloss
from iouloss import reference

pytestmark = pytest.mark.regression

differentiable = pytest.mark.parametrize(
    "case", [case for case in BOX_CASES if not case.has_constant], ids=lambda case: case.formula
)


# ---------------------------------------------------------------------------------------------------------- torch.func


@every_kind
@every_case
def test_func_grad_and_vmap(backend: Backend, case: BoxCase) -> None:
    pred, target = boxes(backend)
    _, by_pred, by_target = evaluate(case, pred, target)
    got = torch.func.grad(case, argnums=(0, 1))(pred, target)
    close([gradient.cpu() for gradient in got], [by_pred, by_target])
    per_box = torch.func.vmap(torch.func.grad(case))(pred, target)
    close(per_box.cpu(), by_pred * len(pred))
    close(torch.func.vmap(case)(pred, target), case(pred, target, reduction="none"))
    against_all = torch.func.vmap(functools.partial(case, reduction="none"), in_dims=(None, 0))
    many = target.flip(0).expand(3, *target.shape) + torch.arange(3, device=backend.device)[:, None, None]
    close(against_all(pred, many), torch.stack([case(pred, other, reduction="none") for other in many]))


@every_kind
def test_func_on_the_focal_loss(backend: Backend) -> None:
    logits, classes = focal(9, backend)
    _, gradient = evaluate(lambda x: iouloss.sigmoid_focal_loss(x, classes, reduction="sum"), logits)
    close(torch.func.grad(lambda x: iouloss.sigmoid_focal_loss(x, classes, reduction="sum"))(logits).cpu(), gradient)
    per_row = torch.func.vmap(lambda x, c: iouloss.sigmoid_focal_loss(x, c, reduction="sum"))(logits, classes)
    close(per_row, iouloss.sigmoid_focal_loss(logits, classes, reduction="none").sum(1))


@every_kind
@differentiable
def test_func_hessian(backend: Backend, case: BoxCase) -> None:
    pred, target = boxes(backend, 2)
    hessian = torch.func.jacrev(torch.func.jacrev(case))(pred, target)
    close(hessian, torch.autograd.functional.hessian(lambda p: case(p, target), pred))


# -------------------------------------------------------------------------------------------------- second derivatives


@of_the_reference
@every_kind
@differentiable
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_gradgradcheck(backend: Backend, case: BoxCase, reduction: str) -> None:
    inputs = [box.requires_grad_() for box in boxes(backend, 3)]
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64, device=backend.device)
    assert torch.autograd.gradgradcheck(lambda p, t: case(p, t, weight, reduction=reduction, fmt="xywh"), inputs)


@of_the_reference
@every_kind
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("soft", [False, True])
def test_gradgradcheck_of_the_focal_loss(backend: Backend, gamma: float, soft: bool) -> None:
    logits, classes = focal(3, backend)
    logits.data[0, 0] = 0
    targets = torch.sigmoid(logits + 1) if soft else classes
    alpha = torch.linspace(0, 1, 5, device=backend.device)
    for options in ({"alpha": 0.25}, {"alpha": alpha, "avg_factor": 3.0}, {"alpha": None, "reduction": "none"}):
        assert torch.autograd.gradgradcheck(
            lambda x, o=options: iouloss.sigmoid_focal_loss(x, targets, gamma=gamma, **o), logits.requires_grad_()
        )


@every_kind
@every_case
@pytest.mark.parametrize("avg_factor", [None, 4.0, "tensor"])
def test_gradient_penalty(backend: Backend, case: BoxCase, avg_factor: Any) -> None:
    """The gradient of the gradient's norm: also through what is computed before the loss, and for one argument."""
    factor = torch.tensor(4.0, device=backend.device) if avg_factor == "tensor" else avg_factor

    def penalty(loss: Callable[..., Tensor], raw: Tensor, target: Tensor) -> list[Tensor]:
        raw = raw.detach().requires_grad_()
        pred = raw * 1.5
        (gradient,) = torch.autograd.grad(loss(pred, target), pred, create_graph=True)
        return [gradient.detach(), torch.autograd.grad((gradient**2).sum(), raw)[0]]

    def truth(pred: Tensor, target: Tensor) -> Tensor:
        return reference.box_loss(case.inputs(pred, target, avg_factor=factor, eps=case.eps))

    close(penalty(lambda p, t: case(p, t, avg_factor=factor), *boxes(backend)), penalty(truth, *boxes(backend)))


@every_kind
def test_second_derivatives_of_one_tensor_given_twice(backend: Backend) -> None:
    raw = boxes(backend)[0].requires_grad_()
    (gradient,) = torch.autograd.grad(iouloss.giou_loss(raw, raw), raw, create_graph=True)
    assert gradient.abs().max() < 1e-6

    def penalty(loss: Callable[..., Tensor]) -> Tensor:
        doubled = raw * 2
        (gradient,) = torch.autograd.grad(loss(doubled, doubled.flip(0)), raw, create_graph=True)
        return torch.autograd.grad((gradient**2).sum(), raw)[0]

    close(penalty(iouloss.giou_loss), penalty(lambda p, t: BOX_CASE["giou"].truth(p, t).mean()))


@every_kind
@pytest.mark.parametrize("kind", ["diou", "bounded_iou"])
def test_only_the_gradient_of_the_target_twice(backend: Backend, kind: str) -> None:
    pred, target = boxes(backend)
    assert torch.autograd.gradgradcheck(lambda t: iouloss.box_loss(pred, t, kind=kind), target.requires_grad_())


# -------------------------------------------------------------------------------------------------------------- opcheck

needs_expecttest = pytest.mark.skipif(
    importlib.util.find_spec("expecttest") is None, reason="torch's opcheck wants expecttest, which is not installed"
)
OPCHECKS = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


def of_boxes(pred: Tensor, target: Tensor, reduction: str) -> tuple[Any, ...]:
    inputs = reference.BoxInputs(pred, target, formula="giou", reduction=reduction)
    return tuple(arguments("box_loss", inputs).values())


def of_focal(logits: Tensor, classes: Tensor, reduction: str, **options: Any) -> tuple[Any, ...]:
    options |= {"alpha1": 0.25, "alpha0": 0.75, "gamma": 1.5, "reduction": reduction}
    return tuple(arguments("logit_loss", reference.LogitInputs(logits, classes, **options)).values())


def make_view(tensor: Tensor, layout: str) -> Tensor:
    return torch.stack((tensor, tensor), -1)[..., 0] if layout == "strided" else tensor


@needs_expecttest
@pytest.mark.parametrize("backend", COMPILED, indirect=True)
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("n", [0, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", ["contiguous", "strided"])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_opcheck(backend: Backend, grad: bool, n: int, dtype: torch.dtype, layout: str, reduction: str) -> None:
    pred, target = (make_view(box, layout) for box in boxes(backend, n, dtype))
    weight = torch.rand(n, device=backend.device)
    factor = torch.tensor(3.0, device=backend.device) if reduction == "mean" else None
    mask = (torch.arange(n) % 2 == 0).to(backend.device)
    checks = OPCHECKS[:3] if EMULATED else OPCHECKS
    inputs = reference.BoxInputs(pred.requires_grad_(grad), target, weight, mask, factor, reduction=reduction)
    given = tuple(arguments("box_loss", inputs).values())
    torch.library.opcheck(torch.ops.iouloss.box_loss.default, given, test_utils=checks)
    logits, classes = focal(n, backend, dtype)
    logits = make_view(logits, layout).requires_grad_(grad)
    given = of_focal(logits, classes, reduction, weight=weight, avg_factor=factor)
    torch.library.opcheck(torch.ops.iouloss.logit_loss.default, given, test_utils=checks)


@needs_expecttest
@pytest.mark.parametrize("backend", COMPILED, indirect=True)
@pytest.mark.parametrize("grad", [False, True])
def test_opcheck_of_the_backward(backend: Backend, grad: bool) -> None:
    pred, target = (box.requires_grad_(grad) for box in boxes(backend, 4, torch.float32))
    upstream = torch.rand(4, device=backend.device).requires_grad_(grad)
    torch.library.opcheck(
        torch.ops.iouloss.box_loss_backward.default,
        (upstream, *of_boxes(pred, target, "none")),
        test_utils=("test_schema", "test_faketensor"),
    )
    logits, classes = focal(4, backend, torch.float32)
    upstream = torch.rand(4, 5, device=backend.device).requires_grad_(grad)
    torch.library.opcheck(
        torch.ops.iouloss.logit_loss_backward.default,
        (upstream, *of_focal(logits.requires_grad_(grad), classes, "none")),
        test_utils=("test_schema", "test_faketensor"),
    )


@needs_expecttest
@pytest.mark.parametrize("backend", COMPILED, indirect=True)
def test_opcheck_of_the_loss_with_its_gradient(backend: Backend) -> None:
    ops, checks = torch.ops.iouloss, ("test_schema", "test_faketensor")
    given = of_boxes(*boxes(backend, 4, torch.float32), "mean")
    torch.library.opcheck(ops.box_loss_and_gradient.default, given, test_utils=checks)
    logits = focal(4, backend, torch.float32)
    torch.library.opcheck(ops.logit_loss_and_gradient.default, of_focal(*logits, "sum"), test_utils=checks)
    with pytest.raises(ValueError, match="reduction: got 'none', wants 'mean' or 'sum'"):
        ops.logit_loss_and_gradient(*of_focal(*logits, "none"))
