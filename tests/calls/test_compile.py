"""torch.compile and torch.export of the losses: what is compiled computes what is not, and how often it is compiled."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
import torch._dynamo.testing
from backends import COMPILED, EMULATED, Backend, compiling, one_kind
from cases import BOX_CASE, BoxCase, evaluate
from every_loss import ARGUMENTS, CALLED, Loss, numbers_of
from few import boxes, close, focal
from torch import Tensor
from torch.func import grad, jvp, vmap

import iouloss

pytestmark = [pytest.mark.regression, pytest.mark.usefixtures("fresh_compiler")]

# What the compiler sees of a fused loss is one operator, of the reference each formula; a few stand for all.
some_cases = pytest.mark.parametrize(
    "case", [BOX_CASE[name] for name in ("ciou", "cdiou_log_iou", "bounded_iou")], ids=lambda case: case.formula
)
SOME = CALLED[::15]
not_emulated = pytest.mark.skipif(EMULATED, reason="the compiler knows no emulated device, and would compile its code")


# ------------------------------------------------------------------------------------------------------- torch.compile


@compiling
@some_cases
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_compiled_box_losses_are_the_eager_ones(backend: Backend, case: BoxCase, reduction: str) -> None:
    weight = torch.rand(6, dtype=torch.float64, device=backend.device)

    def loss(pred: Tensor, target: Tensor) -> Tensor:
        return case(pred, target, weight, reduction=reduction, fmt="cxcywh")

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    close(evaluate(compiled, *boxes(backend)), evaluate(loss, *boxes(backend)))


@compiling
@pytest.mark.parametrize("target", ["index", "dense"])
@pytest.mark.parametrize("alpha", [0.25, None, "tensor"])
def test_compiled_focal_losses_are_the_eager_ones(backend: Backend, target: str, alpha: Any) -> None:
    logits, classes = focal(9, backend)
    targets = classes if target == "index" else (logits > 0).double()
    given = torch.linspace(0, 1, 5, device=backend.device) if alpha == "tensor" else alpha

    def loss(x: Tensor) -> Tensor:
        return iouloss.sigmoid_focal_loss(x, targets, given, 1.5, ignore_index=2)

    close(evaluate(torch.compile(loss, fullgraph=True, backend="aot_eager"), logits), evaluate(loss, logits))


@compiling
def test_dynamic_shapes_compile_once(backend: Backend) -> None:
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")

    def loss(pred: Tensor, target: Tensor, x: Tensor, classes: Tensor) -> Tensor:
        boxes = iouloss.ciou_loss(pred, target, avg_factor=pred.shape[0])
        return boxes + iouloss.sigmoid_focal_loss(x, classes, avg_factor=(classes >= 0).sum())

    compiled = torch.compile(loss, fullgraph=True, backend=counter, dynamic=True)
    compilations = []
    for n in (6, 8, 13):
        inputs = [*boxes(backend, n), *focal(n, backend)]
        inputs[0].requires_grad_()
        close(compiled(*inputs), loss(*inputs))
        compilations.append(counter.frame_count)
    assert compilations[0] == compilations[-1]


@compiling
@pytest.mark.parametrize("module", [iouloss.CIoULoss(), iouloss.BoxLoss(kind="cdiou", base="log_iou")])
def test_compiled_modules(backend: Backend, module: torch.nn.Module) -> None:
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    close(evaluate(compiled, *boxes(backend)), evaluate(module, *boxes(backend)))


@not_emulated
@pytest.mark.parametrize("backend", COMPILED, indirect=True)
def test_inductor(backend: Backend) -> None:
    logits, classes = focal(6, backend, torch.float32)

    def loss(pred: Tensor, target: Tensor, x: Tensor) -> Tensor:
        pred, target = torch.exp(pred / 10), torch.exp(target / 10)
        return iouloss.ciou_loss(pred, target) + iouloss.sigmoid_focal_loss(x, classes)

    inputs = [*boxes(backend, dtype=torch.float32), logits]
    compiled = torch.compile(loss, fullgraph=True)
    torch.testing.assert_close(evaluate(compiled, *inputs), evaluate(loss, *inputs), rtol=1e-5, atol=1e-6)


def numbers(name: str, step: int) -> dict[str, float]:
    """A value for each number of a loss, none of which is another's or comes again."""
    return {option: 0.41 + 0.04 * step + 0.003 * i for i, option in enumerate(numbers_of(name))}


def compilations(backend: Backend, name: str, compiler: str, steps: Iterable[dict[str, float]]) -> int:
    """How often a function is compiled while its numbers change; each result is the eager one."""
    first, *others = (x if x is None else x.to(backend.device) for x in ARGUMENTS[name])
    counter = torch._dynamo.testing.CompileCounterWithBackend(compiler)

    def loss(x: Tensor, options: dict[str, float]) -> Tensor:
        return getattr(iouloss, name)(x, *others, **options)

    compiled = torch.compile(loss, fullgraph=True, backend=counter)
    for options in steps:
        close(*(evaluate(lambda x, f=f, o=options: f(x, o), first) for f in (compiled, loss)))
    return counter.frame_count


SEVERAL_NUMBERS = ["cdiou_loss", "softmax_focal_loss", "poly1_focal_loss"]


@not_emulated
@one_kind
@pytest.mark.parametrize("name", ARGUMENTS)
def test_numbers_that_change_do_not_compile_anew(backend: Backend, name: str) -> None:
    # The reference takes seconds to be traced, so most of it is traced by the first stage alone, which specialises.
    whole = backend.compiled or name in SEVERAL_NUMBERS
    steps = (numbers(name, step) for step in range(5))
    assert compilations(backend, name, "aot_eager" if whole else "eager", steps) <= 3


@not_emulated
@pytest.mark.parametrize("backend", COMPILED, indirect=True)
@pytest.mark.parametrize("name", SEVERAL_NUMBERS)
@pytest.mark.parametrize("alone", [True, False])
def test_inductor_of_numbers_that_change(backend: Backend, name: str, alone: bool) -> None:
    steps = (numbers(name, step) for step in range(4))
    if alone:
        steps = (dict([options.popitem()]) for options in steps)
    assert compilations(backend, name, "inductor", steps) == 2


@not_emulated
@pytest.mark.parametrize("backend", COMPILED, indirect=True)
@pytest.mark.parametrize("loss", CALLED[::4], ids=lambda loss: loss.id)
def test_compiled_of_the_detached_prediction(backend: Backend, loss: Loss) -> None:
    """Beside a prediction that requires a gradient, and as the target: the compiler may drop the detachment."""
    first, *rest = loss.on(backend.device).inputs
    leaf = first.requires_grad_()

    def compute(x: Tensor) -> Tensor:
        return loss(x, *(x.detach() if x.shape == r.shape else r for r in rest)) + loss(x.detach(), *rest)

    compiled = torch.compile(compute, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        close(*(f(leaf) for f in (compiled, compute)))
    close(*(evaluate(f, leaf) for f in (compiled, compute)))


@not_emulated
@pytest.mark.parametrize("backend", COMPILED, indirect=True)
@pytest.mark.parametrize("grad", [False, True])
def test_inductor_drops_the_detachment(backend: Backend, grad: bool) -> None:
    pred, _ = boxes(backend)
    logits, _ = focal(6, backend)
    inputs = [pred.requires_grad_(), logits.requires_grad_()]

    def loss(p: Tensor, x: Tensor) -> Tensor:
        entropy = iouloss.binary_entropy_loss(x) + iouloss.quality_focal_loss(x, x.detach())
        return entropy + iouloss.kl_div_loss(x, x.detach().exp()) + iouloss.l2_loss(p, 2 * p.detach())

    compiled = torch.compile(loss, fullgraph=True)
    with torch.set_grad_enabled(grad):
        torch.testing.assert_close(compiled(*inputs), loss(*inputs))
    if grad:
        torch.testing.assert_close(evaluate(compiled, *inputs), evaluate(loss, *inputs))


@not_emulated
@compiling
@pytest.mark.parametrize("loss", SOME, ids=lambda loss: loss.id)
def test_dynamic_compilation(backend: Backend, loss: Loss) -> None:
    first = loss.on(backend.device).inputs[0]
    compiled = torch.compile(loss.by, fullgraph=True, backend="aot_eager", dynamic=True)
    close(*(evaluate(f, first) for f in (compiled, loss.by)))


@not_emulated
@one_kind
@pytest.mark.parametrize("loss", SOME, ids=lambda loss: loss.id)
def test_compiled_transforms(backend: Backend, loss: Loss) -> None:
    first, *_ = loss.on(backend.device).inputs
    many = torch.stack((first, first.flip(0), first / 2))
    for transformed, given in ((grad(loss.by), first), (vmap(loss.by), many), (vmap(grad(loss.by)), many)):
        compiled = torch.compile(transformed, fullgraph=True, backend="aot_eager")
        close(compiled(given), transformed(given))


@not_emulated
@one_kind
@pytest.mark.parametrize("loss", SOME, ids=lambda loss: loss.id)
def test_compiled_losses_under_transforms(backend: Backend, loss: Loss) -> None:
    """A graph compiled for one of them is not taken for another."""
    first, *_ = loss.on(backend.device).inputs
    compiled = torch.compile(loss.by, backend="aot_eager")
    tangent = torch.ones_like(first)
    for _ in range(2):
        close(compiled(first), loss.by(first))
        close(grad(compiled)(first), grad(loss.by)(first))
        close(jvp(compiled, (first,), (tangent,)), jvp(loss.by, (first,), (tangent,)))
        close(evaluate(compiled, first), evaluate(loss.by, first))


@not_emulated
@compiling
@pytest.mark.parametrize("loss", SOME[::2], ids=lambda loss: loss.id)
def test_compiled_autograd(backend: Backend, loss: Loss) -> None:
    first = loss.on(backend.device).inputs[0]
    compiled = torch.compile(loss.by, fullgraph=True, backend="aot_eager")
    # An eager kernel's backward is no graph, which fullgraph=True would want.
    for function, whole in ((compiled, True), (loss.by, not backend.compiled)):
        leaf = first.detach().requires_grad_()
        with torch._dynamo.compiled_autograd._enable(torch.compile(fullgraph=whole, backend="aot_eager")):
            (3 * function(leaf)).backward()
        close(leaf.grad.cpu(), 3 * evaluate(loss.by, first)[1])


@compiling
def test_export(backend: Backend) -> None:
    logits, classes = focal(6, backend)

    class Loss(torch.nn.Module):
        def forward(self, pred: Tensor, target: Tensor, x: Tensor, index: Tensor) -> Tensor:
            return iouloss.giou_loss(pred, target) + iouloss.sigmoid_focal_loss(x, index)

    inputs = (*boxes(backend), logits, classes)
    rows = torch.export.Dim("rows", min=2)
    program = torch.export.export(Loss(), inputs, dynamic_shapes=({0: rows},) * 4)
    close(program.module()(*inputs), Loss()(*inputs))
    more = (*boxes(backend, 9), *focal(9, backend))
    close(program.module()(*more), Loss()(*more))
