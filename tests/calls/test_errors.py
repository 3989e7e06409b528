"""What is refused, and in which words: the same on every backend."""

import math
from typing import Any

import pytest
import torch
from backends import Backend
from every_call import CALLS, Call

import iouloss
from iouloss import _ops, _tables
from iouloss.reference import BoxInputs, RowInputs

KINDS = ", ".join(repr(name.removesuffix("_loss")) for name in iouloss.functional.boxes.__all__)
BASES = "'iou', 'log_iou', 'giou', 'diou', 'ciou'"
FORMULAS = ", ".join(map(repr, _tables.BOXES))
FLOATS = "wants float64, float32, float16 or bfloat16"
NOT_NEGATIVE = "wants a finite number >= 0"


def boxes(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(*shape, dtype=dtype)


# Arguments beside pred = target = zeros [3, 4], and the error.
BOX_ERRORS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"pred": [1, 2, 3, 4]}, TypeError, "pred: got list, wants a torch.Tensor"),
    ({"pred": None}, TypeError, "pred: got NoneType, wants a torch.Tensor"),
    ({"target": (1, 2)}, TypeError, "target: got tuple, wants a torch.Tensor"),
    ({"target": None}, TypeError, "target: got NoneType, wants a torch.Tensor"),
    ({"weight": 1.0}, TypeError, "weight: got float, wants a torch.Tensor"),
    ({"kind": "bounded_iou_swapped"}, ValueError, f"kind: got 'bounded_iou_swapped', wants one of {KINDS}"),
    ({"kind": "x"}, ValueError, f"kind: got 'x', wants one of {KINDS}"),
    ({"kind": "iou", "mode": "x"}, ValueError, "mode: got 'x', wants one of 'linear', 'log', 'square'"),
    ({"kind": "cdiou", "base": "eiou"}, ValueError, f"base: got 'eiou', wants one of {BASES}"),
    ({"kind": "giou", "gamma": 1.0}, TypeError, "box_loss(kind='giou'): got an unexpected parameter 'gamma'"),
    ({"reduction": "avg"}, ValueError, "reduction: got 'avg', wants 'mean', 'sum' or 'none'"),
    ({"reduction": None}, ValueError, "reduction: got None, wants 'mean', 'sum' or 'none'"),
    ({"fmt": "yxyx"}, ValueError, "fmt: got 'yxyx', wants 'xyxy', 'xywh' or 'cxcywh'"),
    ({"fmt": 1}, ValueError, "fmt: got 1, wants 'xyxy', 'xywh' or 'cxcywh'"),
    ({"eps": -1.0}, ValueError, f"eps: got -1.0, {NOT_NEGATIVE}"),
    ({"eps": -1}, ValueError, f"eps: got -1.0, {NOT_NEGATIVE}"),
    ({"eps": math.inf}, ValueError, f"eps: got inf, {NOT_NEGATIVE}"),
    ({"eps": math.nan}, ValueError, f"eps: got nan, {NOT_NEGATIVE}"),
    ({"eps": "0"}, TypeError, f"eps: got str, {NOT_NEGATIVE}"),
    ({"kind": "focal_eiou", "gamma": -1.0}, ValueError, f"gamma: got -1.0, {NOT_NEGATIVE}"),
    ({"kind": "focal_eiou", "gamma": None}, TypeError, f"gamma: got NoneType, {NOT_NEGATIVE}"),
    ({"kind": "cdiou", "lambda_": math.inf}, ValueError, "lambda_: got inf, wants a finite number"),
    ({"kind": "cdiou", "lambda_": "1"}, TypeError, "lambda_: got str, wants a finite number"),
    ({"kind": "bounded_iou", "beta": 0.0}, ValueError, "beta: got 0.0, wants a finite number > 0"),
    ({"kind": "bounded_iou", "beta": math.nan}, ValueError, "beta: got nan, wants a finite number > 0"),
    ({"kind": "bounded_iou", "beta": None}, TypeError, "beta: got NoneType, wants a finite number > 0"),
    ({"kind": "bounded_iou", "eps": -1.0}, ValueError, f"eps: got -1.0, {NOT_NEGATIVE}"),
    ({"pred": boxes(3, 4, dtype=torch.int64)}, TypeError, f"pred: got dtype torch.int64, {FLOATS}"),
    ({"target": boxes(3, 4, dtype=torch.int32)}, TypeError, f"target: got dtype torch.int32, {FLOATS}"),
    ({"weight": boxes(3, dtype=torch.bool)}, TypeError, f"weight: got dtype torch.bool, {FLOATS}"),
    ({"pred": boxes(3, 4, dtype=torch.complex64)}, TypeError, f"pred: got dtype torch.complex64, {FLOATS}"),
    ({"pred": boxes(3, 5)}, ValueError, "pred: got shape [3, 5], wants [..., 4]"),
    ({"pred": torch.tensor(1.0)}, ValueError, "pred: got shape [], wants [..., 4]"),
    ({"target": boxes(2, 4)}, ValueError, "target: got shape [2, 4], wants pred's shape [3, 4]"),
    ({"target": boxes(4)}, ValueError, "target: got shape [4], wants pred's shape [3, 4]"),
    ({"weight": boxes(2)}, ValueError, "weight: got shape [2], wants [3]"),
    ({"weight": boxes(3, 4)}, ValueError, "weight: got shape [3, 4], wants [3]"),
    ({"avg_factor": 3.0, "reduction": "sum"}, ValueError, "avg_factor: got reduction 'sum', wants 'mean'"),
    ({"avg_factor": boxes(1), "reduction": "none"}, ValueError, "avg_factor: got reduction 'none', wants 'mean'"),
    ({"avg_factor": "3"}, TypeError, "avg_factor: got str, wants a number or a tensor of one element"),
    ({"avg_factor": [3]}, TypeError, "avg_factor: got list, wants a number or a tensor of one element"),
    ({"avg_factor": boxes(3)}, ValueError, "avg_factor: got shape [3], wants a tensor of one element"),
    ({"avg_factor": boxes(0)}, ValueError, "avg_factor: got shape [0], wants a tensor of one element"),
    (
        {"avg_factor": torch.tensor(True)},
        TypeError,
        "avg_factor: got dtype torch.bool, wants an integer or floating dtype",
    ),
    (
        {"avg_factor": torch.tensor(1j)},
        TypeError,
        "avg_factor: got dtype torch.complex64, wants an integer or floating dtype",
    ),
]

ALPHA = "wants a number in [0, 1], a tensor [C] or None"
TARGETS = "wants [3, 5] (dense) or [3] (class indices, where 0 is the first class)"
INDEX = torch.zeros(3, dtype=torch.int64)
# Arguments beside logits = targets = zeros [3, 5], and the error.
FOCAL_ERRORS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"logits": 1.0}, TypeError, "logits: got float, wants a torch.Tensor"),
    ({"targets": [0, 1, 2]}, TypeError, "targets: got list, wants a torch.Tensor"),
    ({"weight": 2}, TypeError, "weight: got int, wants a torch.Tensor"),
    ({"reduction": "avg"}, ValueError, "reduction: got 'avg', wants 'mean', 'sum' or 'none'"),
    ({"alpha": 2.0}, ValueError, f"alpha: got 2.0, {ALPHA}"),
    ({"alpha": -1}, ValueError, f"alpha: got -1.0, {ALPHA}"),
    ({"alpha": math.nan}, ValueError, f"alpha: got nan, {ALPHA}"),
    ({"alpha": "0.25"}, TypeError, f"alpha: got str, {ALPHA}"),
    ({"alpha": [0.25]}, TypeError, f"alpha: got list, {ALPHA}"),
    ({"gamma": -1.0}, ValueError, f"gamma: got -1.0, {NOT_NEGATIVE}"),
    ({"gamma": math.inf}, ValueError, f"gamma: got inf, {NOT_NEGATIVE}"),
    ({"gamma": "2"}, TypeError, f"gamma: got str, {NOT_NEGATIVE}"),
    ({"ignore_index": 1.5, "targets": INDEX}, TypeError, "ignore_index: got float, wants an int or None"),
    ({"ignore_index": 2**63}, ValueError, "ignore_index: got more than 64 bits, wants an int of 64 bits"),
    ({"logits": boxes(3, 5, dtype=torch.int64)}, TypeError, f"logits: got dtype torch.int64, {FLOATS}"),
    (
        {"targets": boxes(3, dtype=torch.complex64)},
        TypeError,
        "targets: got dtype torch.complex64, wants a floating or an integer dtype",
    ),
    (
        {"targets": boxes(3)},
        TypeError,
        "targets: got dtype torch.float32 and shape [3], wants an integer dtype (class indices), or the logits' shape "
        "[3, 5]",
    ),
    ({"weight": INDEX}, TypeError, f"weight: got dtype torch.int64, {FLOATS}"),
    ({"alpha": torch.arange(5)}, TypeError, f"alpha: got dtype torch.int64, {FLOATS}"),
    ({"targets": boxes(2)}, ValueError, f"targets: got shape [2], {TARGETS}"),
    ({"targets": INDEX[:2]}, ValueError, f"targets: got shape [2], {TARGETS}"),
    (
        {"logits": boxes(3, 1), "targets": INDEX[:2]},
        ValueError,
        "targets: got shape [2], wants [3, 1] (dense) or [3] (class indices, where 0 is the one class: target 1)",
    ),
    ({"logits": torch.tensor(1.0)}, ValueError, "targets: got shape [3, 5], wants [] (dense)"),
    (
        {"logits": torch.tensor(1.0), "targets": torch.tensor(1.0), "alpha": torch.ones(1)},
        ValueError,
        "logits: got shape [], wants [..., C]",
    ),
    ({"weight": boxes(7)}, ValueError, "weight: got shape [7], wants [3, 5] or [3]"),
    ({"weight": boxes(5)}, ValueError, "weight: got shape [5], wants [3, 5] or [3]"),
    ({"alpha": torch.ones(4)}, ValueError, "alpha: got shape [4], wants [5]"),
    ({"alpha": torch.ones(3, 5)}, ValueError, "alpha: got shape [3, 5], wants [5]"),
    ({"avg_factor": 3.0, "reduction": "sum"}, ValueError, "avg_factor: got reduction 'sum', wants 'mean'"),
    ({"avg_factor": "3"}, TypeError, "avg_factor: got str, wants a number or a tensor of one element"),
    ({"avg_factor": boxes(3)}, ValueError, "avg_factor: got shape [3], wants a tensor of one element"),
    (
        {"avg_factor": torch.tensor(True), "targets": INDEX},
        TypeError,
        "avg_factor: got dtype torch.bool, wants an integer or floating dtype",
    ),
]


SHARE = "wants a number in [0, 1]"
# A loss on rows of logits, arguments beside logits = zeros [3, 5] and its targets, and the error.
ROW_ERRORS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("softmax_focal", {"logits": 1.0}, TypeError, "logits: got float, wants a torch.Tensor"),
    ("softmax_focal", {"targets": [0, 1, 2]}, TypeError, "targets: got list, wants a torch.Tensor"),
    ("kl_div", {"targets": None}, TypeError, "targets: got NoneType, wants a torch.Tensor"),
    ("entropy", {"weight": 2}, TypeError, "weight: got int, wants a torch.Tensor"),
    ("cross_entropy", {"class_weight": [1.0]}, TypeError, "class_weight: got list, wants a tensor [C] or None"),
    ("entropy", {"reduction": "avg"}, ValueError, "reduction: got 'avg', wants 'mean', 'sum' or 'none'"),
    ("softmax_focal", {"alpha": -1.0}, ValueError, f"alpha: got -1.0, {NOT_NEGATIVE}, a tensor [C] or None"),
    ("softmax_focal", {"alpha": "1"}, TypeError, f"alpha: got str, {NOT_NEGATIVE}, a tensor [C] or None"),
    ("softmax_focal", {"gamma": -1.0}, ValueError, f"gamma: got -1.0, {NOT_NEGATIVE}"),
    ("softmax_focal", {"gamma": math.inf}, ValueError, f"gamma: got inf, {NOT_NEGATIVE}"),
    ("softmax_focal", {"gamma": "2"}, TypeError, f"gamma: got str, {NOT_NEGATIVE}"),
    ("cross_entropy", {"label_smoothing": 1.5}, ValueError, f"label_smoothing: got 1.5, {SHARE}"),
    ("cross_entropy", {"label_smoothing": math.nan}, ValueError, f"label_smoothing: got nan, {SHARE}"),
    ("cross_entropy", {"label_smoothing": "0"}, TypeError, f"label_smoothing: got str, {SHARE}"),
    ("cross_entropy", {"poly_epsilon": math.inf}, ValueError, "poly_epsilon: got inf, wants a finite number"),
    ("cross_entropy", {"poly_epsilon": None}, TypeError, "poly_epsilon: got NoneType, wants a finite number"),
    ("kl_div", {"temperature": 0}, ValueError, "temperature: got 0.0, wants a finite number > 0"),
    ("kl_div", {"temperature": math.nan}, ValueError, "temperature: got nan, wants a finite number > 0"),
    ("kl_div", {"temperature": "1"}, TypeError, "temperature: got str, wants a finite number > 0"),
    ("softmax_focal", {"ignore_index": 1.5}, TypeError, "ignore_index: got float, wants an int or None"),
    ("softmax_focal", {"class_dim": True}, TypeError, "class_dim: got bool, wants an int"),
    ("entropy", {"class_dim": 0.5}, TypeError, "class_dim: got float, wants an int"),
    ("entropy", {"class_dim": 2}, ValueError, "class_dim: got 2, wants a dimension of the logits, -2 to 1"),
    ("softmax_focal", {"class_dim": -3}, ValueError, "class_dim: got -3, wants a dimension of the logits, -2 to 1"),
    ("entropy", {"logits": boxes(3, 5, dtype=torch.int64)}, TypeError, f"logits: got dtype torch.int64, {FLOATS}"),
    (
        "softmax_focal",
        {"targets": boxes(3, 5, dtype=torch.complex64)},
        TypeError,
        "targets: got dtype torch.complex64, wants a floating or an integer dtype",
    ),
    (
        "cross_entropy",
        {"targets": boxes(3)},
        TypeError,
        "targets: got dtype torch.float32 and shape [3], wants an integer dtype (class indices), or the logits' shape "
        "[3, 5]",
    ),
    ("distribution_focal", {"targets": INDEX}, TypeError, f"targets: got dtype torch.int64, {FLOATS}"),
    ("kl_div", {"targets": boxes(3, 5).long()}, TypeError, f"targets: got dtype torch.int64, {FLOATS}"),
    ("entropy", {"weight": INDEX}, TypeError, f"weight: got dtype torch.int64, {FLOATS}"),
    ("softmax_focal", {"alpha": torch.arange(5)}, TypeError, f"alpha: got dtype torch.int64, {FLOATS}"),
    ("cross_entropy", {"class_weight": torch.arange(5)}, TypeError, f"class_weight: got dtype torch.int64, {FLOATS}"),
    ("entropy", {"logits": torch.tensor(1.0)}, ValueError, "logits: got shape [], wants [..., C]"),
    ("entropy", {"logits": boxes(3, 0)}, ValueError, "logits: got shape [3, 0], wants at least one class"),
    ("softmax_focal", {"targets": INDEX[:2]}, ValueError, f"targets: got shape [2], {TARGETS}"),
    (
        "softmax_focal",
        {"class_dim": 0},
        ValueError,
        "targets: got shape [3], wants [3, 5] (dense) or [5] (class indices, where 0 is the first class)",
    ),
    (
        "cross_entropy",
        {"targets": boxes(3, 5), "ignore_index": 255},
        ValueError,
        "ignore_index: got 255 for dense targets, wants None",
    ),
    (
        "softmax_focal",
        {"targets": boxes(3, 5), "ignore_index": -100},
        ValueError,
        "ignore_index: got -100 for dense targets, wants None",
    ),
    ("distribution_focal", {"targets": boxes(3, 5)}, ValueError, "targets: got shape [3, 5], wants [3]"),
    ("kl_div", {"targets": boxes(3)}, ValueError, "targets: got shape [3], wants [3, 5]"),
    ("entropy", {"weight": boxes(3, 5)}, ValueError, "weight: got shape [3, 5], wants [3]"),
    ("softmax_focal", {"alpha": torch.ones(4)}, ValueError, "alpha: got shape [4], wants [5]"),
    ("cross_entropy", {"class_weight": torch.ones(3, 5)}, ValueError, "class_weight: got shape [3, 5], wants [5]"),
    (
        "entropy",
        {"avg_factor": 3.0, "reduction": "sum"},
        ValueError,
        "avg_factor: got reduction 'sum', wants 'mean'",
    ),
    ("kl_div", {"avg_factor": boxes(3)}, ValueError, "avg_factor: got shape [3], wants a tensor of one element"),
]


def moved(arguments: dict[str, Any], backend: Backend) -> dict[str, Any]:
    return {name: x.to(backend.device) if isinstance(x, torch.Tensor) else x for name, x in arguments.items()}


def refuses(error: type[Exception], message: str, function: Any, *args: Any, **options: Any) -> None:
    with pytest.raises(error) as caught:
        function(*args, **options)
    assert caught.type is error and str(caught.value) == message


@pytest.mark.parametrize("arguments, error, message", BOX_ERRORS, ids=[message for _, _, message in BOX_ERRORS])
def test_box_loss(backend: Backend, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = moved({"pred": boxes(3, 4), "target": boxes(3, 4)} | arguments, backend)
    refuses(error, message, iouloss.box_loss, **arguments)


@pytest.mark.parametrize("arguments, error, message", FOCAL_ERRORS, ids=[message for _, _, message in FOCAL_ERRORS])
def test_sigmoid_focal_loss(backend: Backend, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = moved({"logits": boxes(3, 5), "targets": boxes(3, 5)} | arguments, backend)
    refuses(error, message, iouloss.sigmoid_focal_loss, **arguments)


@pytest.mark.parametrize(
    "formula, arguments, error, message", ROW_ERRORS, ids=[f"{name} {message}" for name, _, _, message in ROW_ERRORS]
)
def test_rows(backend: Backend, formula: str, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    targets = {"distribution_focal": boxes(3), "kl_div": boxes(3, 5), "entropy": None}.get(formula, INDEX)
    given = {"logits": boxes(3, 5)} | ({} if targets is None else {"targets": targets}) | arguments
    refuses(error, message, getattr(iouloss, f"{formula}_loss"), **moved(given, backend))


def test_row_formula(backend: Backend) -> None:
    names = "'softmax_focal', 'cross_entropy', 'distribution_focal', 'kl_div', 'entropy'"
    inputs = RowInputs(boxes(3, 5).to(backend.device), INDEX.to(backend.device), formula="x")
    refuses(ValueError, f"formula: got 'x', wants one of {names}", _ops.row_loss, inputs)


def test_formula(backend: Backend) -> None:
    pred = boxes(3, 4).to(backend.device)
    refuses(ValueError, f"formula: got 'x', wants one of {FORMULAS}", _ops.box_loss, BoxInputs(pred, pred, formula="x"))


def test_errors_when_gradients_are_recorded(backend: Backend) -> None:
    pred = boxes(3, 4).to(backend.device).requires_grad_()
    refuses(ValueError, "eps: got -1.0, wants a finite number >= 0", iouloss.ciou_loss, pred, pred, eps=-1.0)
    refuses(
        ValueError, "target: got shape [2, 4], wants pred's shape [3, 4]", iouloss.ciou_loss, pred, pred.detach()[:2]
    )


def test_the_first_of_several_errors_is_told(backend: Backend) -> None:
    pred = boxes(3, 5).to(backend.device)
    bad = {"reduction": "avg", "fmt": "yxyx", "eps": -1.0}
    for name, message in (
        ("reduction", "reduction: got 'avg', wants 'mean', 'sum' or 'none'"),
        ("fmt", "fmt: got 'yxyx', wants 'xyxy', 'xywh' or 'cxcywh'"),
        ("eps", "eps: got -1.0, wants a finite number >= 0"),
    ):
        refuses(ValueError, message, iouloss.giou_loss, pred, pred, **bad)
        del bad[name]
    refuses(ValueError, "pred: got shape [3, 5], wants [..., 4]", iouloss.giou_loss, pred, pred)


def test_devices(backend: Backend) -> None:
    other = "cpu" if backend.device == "cuda" else "meta"
    here, there = boxes(3, 4).to(backend.device), boxes(3, 4).to(other)
    wants = f"got device {other}, wants pred's device {here.device}"
    refuses(ValueError, f"target: {wants}", iouloss.ciou_loss, here, there)
    refuses(ValueError, f"weight: {wants}", iouloss.ciou_loss, here, here, there[:, 0])
    refuses(ValueError, f"avg_factor: {wants}", iouloss.ciou_loss, here, here, avg_factor=there[0, 0])
    wants = f"got device {other}, wants logits's device {here.device}"
    focal = iouloss.sigmoid_focal_loss
    refuses(ValueError, f"targets: {wants}", focal, here, there)
    refuses(ValueError, f"targets: {wants}", focal, here, there[:, 0].long())
    refuses(ValueError, f"weight: {wants}", focal, here, here, weight=there)
    refuses(ValueError, f"alpha: {wants}", focal, here, here, there[0])
    refuses(ValueError, f"avg_factor: {wants}", focal, here, here, avg_factor=there[0, 0])
    cross, index = iouloss.cross_entropy_loss, here[:, 0].long()
    refuses(ValueError, f"targets: {wants}", iouloss.kl_div_loss, here, there)
    refuses(ValueError, f"targets: {wants}", cross, here, there[:, 0].long())
    refuses(ValueError, f"weight: {wants}", cross, here, index, weight=there[:, 0])
    refuses(ValueError, f"class_weight: {wants}", cross, here, index, class_weight=there[0])
    refuses(ValueError, f"alpha: {wants}", iouloss.softmax_focal_loss, here, index, there[0])
    refuses(ValueError, f"avg_factor: {wants}", iouloss.entropy_loss, here, avg_factor=there[0, 0])


NESTED = {
    "strided": lambda tensor: torch.nested.nested_tensor(list(tensor), layout=torch.strided),
    "jagged": lambda tensor: torch.nested.nested_tensor(list(tensor), layout=torch.jagged),
}


@pytest.mark.parametrize("layout", NESTED)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_nested_tensors(backend: Backend, call: Call, layout: str) -> None:
    tensors = {name: given.values.flatten() for name, given in call.tensors.items()}
    tensors = {
        name: values.repeat(math.prod(given.shape))[: math.prod(given.shape)].reshape(given.shape).to(given.dtypes[0])
        for (name, given), values in zip(call.tensors.items(), tensors.values(), strict=True)
    }
    tensors = {name: tensor.to(backend.device) for name, tensor in tensors.items()}
    call(**tensors)
    for name, tensor in tensors.items():
        rows = tensor if tensor.ndim > 1 else tensor[:, None]
        message = f"{name}: got a nested tensor (torch.{layout}), wants a dense (strided) one"
        refuses(TypeError, message, call, **tensors | {name: NESTED[layout](rows)})
    nested = {name: NESTED[layout](x if x.ndim > 1 else x[:, None]) for name, x in tensors.items()}
    with pytest.raises(TypeError, match="got a nested tensor"):
        call(**nested)


@pytest.mark.parametrize("name", ["sigmoid_focal_loss", "quality_focal_loss", "cross_entropy_loss", "entropy_loss"])
def test_a_class_dim_that_is_no_int(backend: Backend, name: str) -> None:
    function = getattr(iouloss, name)
    x = boxes(3, 4).to(backend.device)
    tensors = [x] if name == "entropy_loss" else [x, torch.zeros(3, dtype=torch.int64, device=backend.device)]
    for value in (torch.tensor([1, 1]), 1.0, "1", None, (1,), True, torch.ones(2).to_sparse()):
        kind = type(value).__name__
        refuses(TypeError, f"class_dim: got {kind}, wants an int", function, *tensors, class_dim=value)
