"""The losses of regions: errors, modules, torch.compile, torch.func, opcheck, second derivatives."""

import copy
import importlib.util
import math
import pickle
from typing import Any

import pytest
import torch
from backends import COMPILED, EMULATED, Backend, compiling, every_kind, of_the_reference
from cases import evaluate
from regions import REGION_CASE, Case, every_case, logits_for, some_cases, targets_for
from torch import Tensor

import iouloss

pytestmark = pytest.mark.usefixtures("fresh_compiler")
every_activation = pytest.mark.parametrize("activation", ["sigmoid", "softmax"])


def inputs(backend: Backend, target: str = "index", dtype: torch.dtype = torch.float64, n: int = 2) -> list[Tensor]:
    shape = (n, 3, 2, 4)
    logits = logits_for("sigmoid", *shape, dtype=dtype) / 2
    return backend.put(logits, targets_for(target, *shape, dtype=dtype))


def close(got: Any, wanted: Any) -> None:
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)


# --------------------------------------------------------------------------------------------------------------- errors

FLOATS = "wants float64, float32, float16 or bfloat16"
NOT_NEGATIVE = "wants a finite number >= 0"
TARGETS = "wants [2, 3, 4] (dense) or [2, 4] (class indices, where 0 is the first class)"
INDEX = torch.zeros(2, 4, dtype=torch.int64)
DICE, TVERSKY = iouloss.dice_loss, iouloss.focal_tversky_loss
GENERALIZED = iouloss.generalized_dice_loss
# A function, its arguments beside logits = targets = zeros [2, 3, 4], and the error.
ERRORS: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (DICE, {"logits": 1.0}, TypeError, "logits: got float, wants a torch.Tensor"),
    (DICE, {"targets": [0]}, TypeError, "targets: got list, wants a torch.Tensor"),
    (DICE, {"class_weight": 2}, TypeError, "class_weight: got int, wants a torch.Tensor"),
    (DICE, {"weight": 2}, TypeError, "weight: got int, wants a torch.Tensor"),
    (DICE, {"reduction": "avg"}, ValueError, "reduction: got 'avg', wants 'mean', 'sum' or 'none'"),
    (DICE, {"activation": "tanh"}, ValueError, "activation: got 'tanh', wants 'sigmoid', 'softmax' or None"),
    (DICE, {"activation": 3}, ValueError, "activation: got 3, wants 'sigmoid', 'softmax' or None"),
    (DICE, {"per": "pixel"}, ValueError, "per: got 'pixel', wants 'image_class', 'class', 'image' or 'batch'"),
    (GENERALIZED, {"per": "class"}, ValueError, "per: got 'class', wants 'image' or 'batch'"),
    (DICE, {"power": 3}, ValueError, "power: got 3, wants 1 or 2"),
    (DICE, {"power": 1.5}, TypeError, "power: got float, wants 1 or 2"),
    (TVERSKY, {"alpha": -0.5}, ValueError, f"alpha: got -0.5, {NOT_NEGATIVE}"),
    (TVERSKY, {"beta": math.nan}, ValueError, f"beta: got nan, {NOT_NEGATIVE}"),
    (TVERSKY, {"alpha": "0.5"}, TypeError, f"alpha: got str, {NOT_NEGATIVE}"),
    (TVERSKY, {"gamma": 0.0}, ValueError, "gamma: got 0.0, wants a finite number > 0"),
    (TVERSKY, {"gamma": math.inf}, ValueError, "gamma: got inf, wants a finite number > 0"),
    (DICE, {"smooth_numerator": -1.0}, ValueError, f"smooth_numerator: got -1.0, {NOT_NEGATIVE}"),
    (DICE, {"smooth_denominator": math.inf}, ValueError, f"smooth_denominator: got inf, {NOT_NEGATIVE}"),
    (DICE, {"ignore_index": 1.5, "targets": INDEX}, TypeError, "ignore_index: got float, wants an int or None"),
    (DICE, {"ignore_index": 2**63}, ValueError, "ignore_index: got more than 64 bits, wants an int of 64 bits"),
    (DICE, {"logits": torch.ones(2, 3, 4).long()}, TypeError, f"logits: got dtype torch.int64, {FLOATS}"),
    (
        DICE,
        {"targets": INDEX.float()},
        TypeError,
        "targets: got dtype torch.float32 and shape [2, 4], wants an integer dtype (class indices), or the logits' "
        "shape [2, 3, 4]",
    ),
    (DICE, {"class_weight": torch.arange(3)}, TypeError, f"class_weight: got dtype torch.int64, {FLOATS}"),
    (DICE, {"logits": torch.ones(3), "targets": torch.ones(3)}, ValueError, "logits: got shape [3], wants [N, C, ...]"),
    (DICE, {"targets": torch.ones(2, 3)}, ValueError, f"targets: got shape [2, 3], {TARGETS}"),
    (DICE, {"targets": INDEX[:1]}, ValueError, f"targets: got shape [1, 4], {TARGETS}"),
    (DICE, {"weight": torch.ones(2, 3).long()}, TypeError, f"weight: got dtype torch.int64, {FLOATS}"),
    (DICE, {"weight": torch.ones(3)}, ValueError, "weight: got shape [3], wants [2, 3]"),
    (DICE, {"weight": torch.ones(3), "per": "image"}, ValueError, "weight: got shape [3], wants [2]"),
    (DICE, {"class_weight": torch.ones(2)}, ValueError, "class_weight: got shape [2], wants [3]"),
    (DICE, {"class_weight": torch.ones(1, 3)}, ValueError, "class_weight: got shape [1, 3], wants [3]"),
    (DICE, {"avg_factor": 3.0, "reduction": "sum"}, ValueError, "avg_factor: got reduction 'sum', wants 'mean'"),
    (DICE, {"avg_factor": "3"}, TypeError, "avg_factor: got str, wants a number or a tensor of one element"),
    (DICE, {"avg_factor": torch.ones(3)}, ValueError, "avg_factor: got shape [3], wants a tensor of one element"),
]


@pytest.mark.parametrize("function, arguments, error, message", ERRORS, ids=[message for *_, message in ERRORS])
def test_errors(backend: Backend, function: Any, arguments: dict[str, Any], error: type, message: str) -> None:
    given = {"logits": torch.zeros(2, 3, 4), "targets": torch.zeros(2, 3, 4)} | arguments
    given = {name: x.to(backend.device) if isinstance(x, Tensor) else x for name, x in given.items()}
    with pytest.raises(error) as caught:
        function(given.pop("logits"), given.pop("targets"), **given)
    assert caught.type is error and str(caught.value) == message


def test_devices(backend: Backend) -> None:
    other = "cpu" if backend.device == "cuda" else "meta"
    here, there = torch.zeros(2, 3, 4).to(backend.device), torch.zeros(2, 3, 4).to(other)
    wants = f"got device {other}, wants logits's device {here.device}"
    for name, arguments in (
        ("targets", (here, there, {})),
        ("weight", (here, here, {"weight": there[..., 0]})),
        ("class_weight", (here, here, {"class_weight": there[0, :, 0]})),
        ("avg_factor", (here, here, {"avg_factor": there[0, 0, 0]})),
    ):
        with pytest.raises(ValueError) as caught:
            iouloss.dice_loss(*arguments[:2], **arguments[2])
        assert str(caught.value) == f"{name}: {wants}"


# -------------------------------------------------------------------------------------------------------------- modules

MODULES = {
    iouloss.DiceLoss: (iouloss.dice_loss, {"power": 2}),
    iouloss.GeneralizedDiceLoss: (iouloss.generalized_dice_loss, {}),
    iouloss.TverskyLoss: (iouloss.tversky_loss, {"alpha": 0.2, "beta": 0.9}),
    iouloss.FocalTverskyLoss: (iouloss.focal_tversky_loss, {"alpha": 0.2, "beta": 0.9, "gamma": 0.7}),
}


@pytest.mark.parametrize("module", MODULES)
def test_modules(backend: Backend, module: type) -> None:
    function, parameters = MODULES[module]
    logits, targets = inputs(backend)
    options = {"activation": "softmax", "per": "batch", "smooth_numerator": 0.5, "smooth_denominator": 0.7}
    options |= {"ignore_index": 1, "reduction": "mean", **parameters}
    weight = torch.tensor([0.5, 1.0, 2.0], device=backend.device)
    loss = module(class_weight=weight, **options)
    half = torch.tensor(0.5, device=backend.device)
    expected = function(logits, targets, class_weight=weight, weight=half, avg_factor=3, **options)
    assert torch.equal(loss(logits, targets, half, 3), expected)
    copied = pickle.loads(pickle.dumps(copy.deepcopy(loss)))
    assert torch.equal(copied(logits, targets, weight=half, avg_factor=3), expected)
    assert torch.equal(module()(logits, targets), function(logits, targets))
    assert "class_weight" in loss.state_dict() and loss.double().class_weight.dtype == torch.float64
    for name, value in options.items():
        assert f"{name}={value!r}" in repr(loss)


# ------------------------------------------------------------------------------------------------ compile, export, func


@compiling
@some_cases
@every_activation
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_compiled(backend: Backend, case: Case, activation: str, reduction: str) -> None:
    logits, targets = inputs(backend)
    factor = {"avg_factor": 3.0} if reduction == "mean" else {}

    def loss(x: Tensor) -> Tensor:
        return case(x, targets, activation=activation, per="batch", reduction=reduction, **factor)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    close(evaluate(compiled, logits), evaluate(loss, logits))


@compiling
@pytest.mark.parametrize("per", ["image_class", "class", "image", "batch"])
def test_dynamic_shapes(backend: Backend, per: str) -> None:
    def loss(x: Tensor, t: Tensor) -> Tensor:
        return iouloss.dice_loss(x, t, per=per, reduction="none")

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager", dynamic=True)
    for n in (2, 5):
        logits, targets = inputs(backend, n=n)
        got, wanted = (evaluate(lambda x, f=f, t=targets: f(x, t), logits) for f in (compiled, loss))
        close(got, wanted)


@compiling
def test_export(backend: Backend) -> None:
    class Loss(torch.nn.Module):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            return iouloss.focal_tversky_loss(x, t)

    images = torch.export.Dim("images", min=2)
    program = torch.export.export(Loss(), tuple(inputs(backend)), dynamic_shapes=({0: images},) * 2)
    for n in (2, 5):
        close(program.module()(*inputs(backend, n=n)), Loss()(*inputs(backend, n=n)))


@every_kind
@some_cases
@every_activation
def test_func(backend: Backend, case: Case, activation: str) -> None:
    logits, targets = inputs(backend)

    def total(x: Tensor, t: Tensor) -> Tensor:
        return case(x, t, activation=activation, reduction="sum")

    _, gradient = evaluate(lambda x: total(x, targets), logits)
    close(torch.func.grad(total)(logits, targets).cpu(), gradient)
    each = torch.func.vmap(lambda x, t: total(x[None], t[None]))(logits, targets)
    close(each.sum(), total(logits, targets))


# -------------------------------------------------------------------------------------------------- second derivatives


@of_the_reference
@every_kind
@every_case
@every_activation
@pytest.mark.parametrize("target", ["soft", "index"])
def test_gradgradcheck(backend: Backend, case: Case, activation: str, target: str) -> None:
    logits, targets = (x[..., 0] for x in inputs(backend, target))
    for options in ({"reduction": "none"}, {"avg_factor": 3.0}):
        assert torch.autograd.gradgradcheck(
            lambda x, o=options: case(x, targets, activation=activation, **o), logits.detach().requires_grad_()
        )


# -------------------------------------------------------------------------------------------------------------- opcheck

needs_expecttest = pytest.mark.skipif(
    importlib.util.find_spec("expecttest") is None, reason="torch's opcheck wants expecttest, which is not installed"
)
OPCHECKS = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")


@needs_expecttest
@pytest.mark.parametrize("backend", COMPILED, indirect=True)
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("n", [0, 3])
@pytest.mark.parametrize("per", ["image_class", "class", "image", "batch"])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_opcheck(backend: Backend, grad: bool, n: int, per: str, reduction: str) -> None:
    logits, targets = inputs(backend, dtype=torch.float32, n=n)
    factor = torch.tensor(3.0, device=backend.device) if reduction == "mean" else None
    weight = torch.ones(3, device=backend.device)
    arguments = (logits.requires_grad_(grad), targets, None, weight, factor, None)
    arguments = (*arguments, *REGION_CASE["dice"].given("softmax", per, reduction=reduction).values())
    checks = OPCHECKS[:3] if EMULATED else OPCHECKS
    torch.library.opcheck(torch.ops.iouloss.region_loss.default, arguments, test_utils=checks)


@needs_expecttest
@pytest.mark.parametrize("backend", COMPILED, indirect=True)
def test_opcheck_of_the_other_operators(backend: Backend) -> None:
    ops, checks = torch.ops.iouloss, ("test_schema", "test_faketensor")
    logits, targets = inputs(backend, dtype=torch.float32)
    arguments = (
        logits,
        targets,
        None,
        None,
        None,
        None,
        *REGION_CASE["focal_tversky"].given(reduction="mean").values(),
    )
    torch.library.opcheck(ops.region_loss_and_slopes.default, arguments, test_utils=checks)
    upstream, slopes = torch.ones((), device=backend.device), ops.region_loss_and_slopes(*arguments)[1]
    torch.library.opcheck(ops.region_loss_backward.default, (upstream, slopes, *arguments), test_utils=checks)
    with pytest.raises(ValueError, match=r"slopes: got shape \[1, 2\], wants \[2, 3, 2\]"):
        ops.region_loss_backward(upstream, slopes[0, :1], *arguments)
    with pytest.raises(TypeError, match=r"slopes: got dtype torch.float64, wants the loss's dtype torch.float32"):
        ops.region_loss_backward(upstream, slopes.double(), *arguments)
