"""What the operators refuse when they are called by themselves, through torch.ops: every one, every tensor it takes."""

import contextlib
import math
from typing import Any

import pytest
import torch
from backends import Backend
from operators import arguments as of_operator
from torch import Tensor

from iouloss import _tables
from iouloss._backend import extension
from iouloss.reference import BoxInputs, LogitInputs, RegionInputs, RegressionInputs, RowInputs

N, C = 3, 5


def tensors(device: str) -> dict[str, dict[str, Any]]:
    """The arguments of a call of each operator."""

    def numbers(*shape: int) -> Tensor:
        return torch.linspace(0.1, 0.9, max(torch.Size(shape).numel(), 1), device=device).reshape(shape)

    index = torch.arange(N, device=device)
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 4], [0, 2, 2, 3]], device=device)
    logits, classes = numbers(N, C), numbers(C)
    focal = {"formula": "equalized_focal", "balance": classes, "gamma": 2.0, "scale": 1.0}
    return {
        "box_loss": of_operator(
            "box_loss", BoxInputs(boxes, boxes + 0.5, numbers(N), index > 0, formula="focal_eiou", reduction="none")
        ),
        "logit_loss": of_operator(
            "logit_loss",
            LogitInputs(logits, index, numbers(N), alpha_per_class=classes, complement=True, reduction="none", **focal),
        ),
        "regression_loss": of_operator(
            "regression_loss",
            RegressionInputs(logits, logits + 1, numbers(N), formula="balanced_l1", reduction="none"),
        ),
        "row_loss": of_operator(
            "row_loss",
            RowInputs(logits, index, numbers(N), reduction="none", class_weight=classes, label_smoothing=0.1),
        ),
        "region_loss": of_operator(
            "region_loss",
            RegionInputs(numbers(N, C, 4), numbers(N, C, 4), numbers(N, C), classes, reduction="none"),
        ),
        "kept_weight": {
            **{"logits": numbers(N, C), "targets": index, "class_weight": numbers(C), "ignore_index": None},
            **{"class_dim": -1, "unit": "row"},
        },
    }


TABLES = {
    "box_loss": _tables.BOXES,
    "logit_loss": _tables.LOGITS,
    "regression_loss": _tables.REGRESSION,
    "row_loss": _tables.ROWS,
    "region_loss": _tables.REGIONS,
}
LOSSES = list(TABLES)
NAMES = [*LOSSES, "kept_weight"]
every_operator = pytest.mark.parametrize("name", NAMES)
every_loss = pytest.mark.parametrize("name", LOSSES)


def call(name: str, arguments: dict[str, Any], **changed: Any) -> Tensor:
    return getattr(torch.ops.iouloss, name)(**{**arguments, **changed})


@pytest.fixture
def arguments(backend: Backend, name: str) -> dict[str, Any]:
    if not backend.compiled:
        pytest.skip("the reference has no operators")
    return tensors(backend.device)[name]


def tensors_of(arguments: dict[str, Any]) -> dict[str, Tensor]:
    return {key: value for key, value in arguments.items() if isinstance(value, Tensor)}


def named(key: str) -> str:
    """What the users of the functions call an argument."""
    return key.removesuffix("_per_class")


def refused(name: str, arguments: dict[str, Any], key: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^({named(key)}|{key}): got .*wants"):
        call(name, arguments, **{key: value})


@every_operator
def test_the_call_is_one(arguments: dict[str, Any], name: str) -> None:
    assert call(name, arguments).isfinite().all()


@every_operator
def test_the_extension_reads_or_refuses_what_it_is_given(arguments: dict[str, Any], name: str) -> None:
    """An error that Python raises at one argument must not be left standing while the next is read."""
    function = getattr(extension, name)
    inputs = tuple(value for key, value in arguments.items() if key != "divisor")  # which avg_factor is, if a number
    function(inputs)
    for place in range(len(inputs)):
        for value in (None, object(), 1j, 10**400, -(10**30), 2.9, "\ud800", b"mean", [], Unreadable()):
            with contextlib.suppress(TypeError, ValueError):
                function((*inputs[:place], value, *inputs[place + 1 :]))
    for wrong in ((), inputs[:-1], list(inputs), None):
        with pytest.raises(TypeError):
            function(wrong)
    for count in (0, 2):
        with pytest.raises(TypeError):
            function(*[inputs] * count)


class Unreadable:
    """It says that it is a number, and raises when it is asked which."""

    def __index__(self) -> int:
        raise ValueError("not a number")

    def __float__(self) -> float:
        raise ValueError("not a number")


@every_operator
def test_another_dtype_is_refused(arguments: dict[str, Any], name: str) -> None:
    """Also where no kernel would look, which would read it as another."""
    for key, tensor in tensors_of(arguments).items():
        for dtype in (torch.complex64, torch.float8_e4m3fn, torch.uint16):
            refused(name, arguments, key, tensor.to(torch.float32).to(dtype))
        if tensor.is_floating_point() and key != "targets":
            for dtype in (torch.int64, torch.int8, torch.bool):
                refused(name, arguments, key, tensor.to(dtype))


@every_operator
def test_another_shape_is_refused(arguments: dict[str, Any], name: str) -> None:
    for key, tensor in tensors_of(arguments).items():
        if key in ("logits", "pred"):
            continue  # the others are held to its shape
        for other in (tensor[:-1], tensor[None], torch.stack([tensor] * 2, -1), tensor.flatten()[0]):
            refused(name, arguments, key, other)


@every_operator
def test_what_is_missing_is_refused(arguments: dict[str, Any], name: str) -> None:
    for key in {"logits", "pred", "target", "targets"} & arguments.keys():
        with pytest.raises(TypeError, match=f"^{key}: got NoneType, wants a torch.Tensor"):
            call(name, arguments, **{key: None})


@every_operator
def test_another_device_is_refused(arguments: dict[str, Any], name: str) -> None:
    for key, tensor in tensors_of(arguments).items():
        if key not in ("logits", "pred"):
            with pytest.raises((ValueError, TypeError, RuntimeError, NotImplementedError), match=r"device|meta"):
                call(name, arguments, **{key: tensor.to("meta")})


@every_operator
def test_another_layout_is_refused(arguments: dict[str, Any], name: str) -> None:
    for key, tensor in tensors_of(arguments).items():
        if not tensor.is_cuda:
            refused(name, arguments, key, tensor.to_sparse())


@every_loss
def test_numbers_are_those_of_float32(arguments: dict[str, Any], name: str) -> None:
    taken = {"eps", "alpha1", "alpha0", *TABLES[name][arguments.get("formula")]}
    numbers = [key for key, value in arguments.items() if isinstance(value, float) and key in taken]
    assert numbers
    for key in numbers:
        for value in (1e39, -1e39, float("inf"), float("nan")):
            with pytest.raises(ValueError, match=f"^{key}: got .*wants"):
                call(name, arguments, **{key: value})


@every_loss
def test_options_are_held_to_their_ranges(arguments: dict[str, Any], name: str) -> None:
    """By the operator as by the function. The options of other losses are not looked at."""
    outside = {"finite": math.inf, "not_negative": -0.5, "positive": 0.0, "fraction": 1.5}
    every = {option for ranges in TABLES[name].values() for option in ranges}
    nothing = {option: math.nan for option in every if isinstance(arguments[option], float)}
    for loss, ranges in TABLES[name].items():
        right = arguments | nothing | {"formula": loss, "per": "image"}
        right = {key: value for key, value in right.items() if key in arguments}
        right |= {option: 1.0 for option in ranges}
        for option, allowed in ranges.items():
            with pytest.raises(ValueError, match=f"^{option}: got .*wants"):
                call(name, right, **{option: outside[allowed]})


def backward(name: str, arguments: dict[str, Any], grad_output: Tensor, slopes: Tensor | None = None) -> Tensor:
    given = {"grad_output": grad_output, **arguments}
    return getattr(torch.ops.iouloss, f"{name}_backward")(**given, **({} if slopes is None else {"slopes": slopes}))


def left(name: str, arguments: dict[str, Any]) -> Tensor | None:
    if name != "region_loss":
        return None
    return torch.ops.iouloss.region_loss_and_slopes(**arguments)[1]


@every_loss
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_the_backward_checks_what_is_upstream(arguments: dict[str, Any], name: str, reduction: str) -> None:
    arguments["reduction"] = reduction
    loss, slopes = call(name, arguments), left(name, arguments)
    ones = torch.ones_like(loss)
    assert backward(name, arguments, ones, slopes).isfinite().all()
    for dtype in (torch.int64, torch.bool, torch.complex64):
        with pytest.raises(TypeError, match=r"grad_output: got dtype torch\.\w+, wants float64, float32"):
            backward(name, arguments, ones.to(dtype), slopes)
    for other in (ones[None], torch.ones(7, device=ones.device), torch.ones((), device=ones.device)):
        if other.shape != ones.shape:
            with pytest.raises(ValueError, match=r"grad_output: got shape .*wants"):
                backward(name, arguments, other, slopes)


def test_the_backward_checks_the_slopes(backend: Backend) -> None:
    if not backend.compiled:
        pytest.skip("the reference has no operators")
    name, arguments = "region_loss", tensors(backend.device)["region_loss"]
    loss, slopes = torch.ops.iouloss.region_loss_and_slopes(**arguments)
    ones = torch.ones_like(loss)
    for other in (slopes[:1], slopes[..., :1], slopes.flatten()):
        with pytest.raises(ValueError, match=r"slopes: got shape .*wants"):
            backward(name, arguments, ones, other)
    with pytest.raises(TypeError, match=r"slopes: got dtype torch\.int64, wants the loss's dtype torch\.float32"):
        backward(name, arguments, ones, slopes.long())


@every_loss
def test_a_tangent_is_refused(arguments: dict[str, Any], name: str) -> None:
    """The kernels would drop it; the functions go to the reference."""
    with torch.autograd.forward_ad.dual_level():
        for key, tensor in tensors_of(arguments).items():
            if tensor.is_floating_point():
                dual = torch.autograd.forward_ad.make_dual(tensor, torch.ones_like(tensor))
                with pytest.raises(ValueError, match="got a tensor with a tangent"):
                    call(name, arguments, **{key: dual})


@every_loss
def test_a_tangent_from_upstream_is_refused(arguments: dict[str, Any], name: str) -> None:
    first = "pred" if "pred" in arguments else "logits"
    arguments[first] = arguments[first].clone().requires_grad_()
    loss = call(name, arguments, reduction="sum")
    with torch.autograd.forward_ad.dual_level():
        one = torch.autograd.forward_ad.make_dual(torch.ones_like(loss), torch.ones_like(loss))
        with pytest.raises(ValueError, match="got a tensor with a tangent"):
            torch.autograd.grad(loss, arguments[first], one)


@every_loss
def test_the_twin_of_numbers_refuses_what_it_cannot_take(arguments: dict[str, Any], name: str) -> None:
    ops, schema = torch.ops.iouloss, getattr(torch.ops.iouloss, name).default._schema
    given = {
        argument.name: torch.tensor(arguments[argument.name], dtype=torch.float64)
        if str(argument.type) == "float"
        else arguments[argument.name]
        for argument in schema.arguments
    }
    loss, backward = getattr(ops, name + "_of_numbers"), getattr(ops, name + "_of_numbers_backward")
    losses = loss(**given)
    assert torch.equal(losses, call(name, arguments))
    upstream = torch.ones_like(losses)
    assert backward(upstream, 0, *given.values()).isfinite().all()
    for wrong in (upstream[:-1], upstream[None], upstream.long()):
        with pytest.raises((ValueError, TypeError), match=r"^grad_output: got .* wants"):
            backward(wrong, 0, *given.values())
    for position in (-1, 2, len(given)):
        with pytest.raises(ValueError, match=r"^position: got .* wants"):
            backward(upstream, position, *given.values())
    for number, value in given.items():
        if isinstance(value, Tensor) and isinstance(arguments[number], float):
            with pytest.raises(ValueError, match=rf"^{number}: got shape .* wants one number"):
                loss(**{**given, number: torch.ones(2, dtype=torch.float64)})
