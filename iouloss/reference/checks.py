"""What the operators accept, and the errors for everything else.

The compiled operators make the same checks in C++. These serve the pure-PyTorch path, and arguments whose type keeps
them from reaching C++. Every message reads ``<argument>: got <x>, wants <y>``.
"""

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from .._inputs import BoxInputs, LogitInputs, RegressionInputs
from .._tables import BOXES, LOGITS, REGRESSION, UNFUSED_LOGITS
from .placement import EPS_MODES, ONE_PLACE

FORMATS = ("xyxy", "xywh", "cxcywh")
REDUCTIONS = ("mean", "sum", "none")
FLOATING = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
INTEGRAL = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
SMALLEST, LARGEST = 1.1754943508222875e-38, 3.4028234663852886e38  # the range of float32's normal numbers
IN_RANGE = " in float32's range"
OPTIONAL = ("weight", "scores")  # tensors that may be None


def check_box_loss(inputs: BoxInputs) -> None:
    """Raise the ValueError or TypeError that the inputs of ``box_loss`` deserve, if any."""
    pred, target, weight, mask, avg_factor, formula, *_, fmt, eps, reduction, eps_mode = inputs
    check_tensors(pred=pred, target=target, weight=weight)
    check_choice("formula", formula, BOXES)
    check_reduction(reduction)
    if not isinstance(fmt, str) or fmt not in FORMATS:
        raise ValueError(f"fmt: got {fmt!r}, wants 'xyxy', 'xywh' or 'cxcywh'")
    check_not_negative("eps", eps)
    check_eps_mode(eps_mode, formula)
    check_options(BOXES[formula], inputs)
    check_floating(pred=pred, target=target, weight=weight)
    if pred.ndim == 0 or pred.shape[-1] != 4:
        raise ValueError(f"pred: got shape {shape_of(pred)}, wants [..., 4]")
    check_shape("target", target, pred.shape, "pred's shape ")
    check_shape("weight", weight, pred.shape[:-1])
    _check_mask(mask, pred)
    check_devices("pred", pred, target=target, weight=weight, mask=mask, avg_factor=avg_factor)
    check_avg_factor(avg_factor, reduction)


def check_logit_loss(inputs: LogitInputs) -> None:
    """Raise the ValueError or TypeError that the inputs of a loss of logits deserve, if any."""
    logits, targets, scores, weight, alpha_per_class, balance, avg_factor, formula = inputs[:8]
    ignore_index, reduction, class_dim = inputs[-3:]
    check_tensors(logits=logits, targets=targets, weight=weight, scores=scores)
    losses = {**LOGITS, **UNFUSED_LOGITS}
    check_choice("formula", formula, losses)
    check_reduction(reduction)
    for name in ("alpha1", "alpha0"):
        check_not_negative(name, getattr(inputs, name))
    check_options(losses[formula], inputs)
    check_ignore_index(ignore_index)
    check_floating(logits=logits)
    check_class_dim(class_dim, logits)
    dense = are_dense(targets, logits, class_dim)
    check_floating(weight=weight, scores=scores)
    for name, option in (("alpha", alpha_per_class), ("balance", balance)):
        check_per_class(name, option, logits, class_dim)
    if (formula == "equalized_focal") != (balance is not None):
        wants = "a tensor [C]" if balance is None else "None"
        raise ValueError(f"balance: got {kind_of(balance)} for {formula!r}, wants {wants}")
    if dense:
        if scores is not None:
            raise ValueError("scores: got dense targets, wants class indices")
    else:
        check_shape("scores", scores, rows_of(logits, class_dim))
    check_weight(weight, logits, class_dim)
    check_devices("logits", logits, targets=targets, scores=scores, weight=weight, avg_factor=avg_factor)
    check_avg_factor(avg_factor, reduction)


def check_regression_loss(inputs: RegressionInputs) -> None:
    """Raise the ValueError or TypeError that the inputs of a loss of differences deserve, if any."""
    pred, target, weight, avg_factor, formula, alpha, _, gamma, _, reduction = inputs
    check_tensors(pred=pred, target=target, weight=weight)
    check_choice("formula", formula, REGRESSION)
    check_reduction(reduction)
    check_options(REGRESSION[formula], inputs)
    if formula == "balanced_l1" and gamma / alpha > 80:
        raise ValueError(f"gamma: got {float(gamma)}, wants at most 80 * alpha, {80.0 * alpha}")
    check_floating(pred=pred, target=target, weight=weight)
    check_shape("target", target, pred.shape, "pred's shape ")
    check_weight(weight, pred)
    check_devices("pred", pred, target=target, weight=weight, avg_factor=avg_factor)
    check_avg_factor(avg_factor, reduction)


def check_options(ranges: dict[str, str], inputs: Any) -> None:
    """Raise unless each option that a loss takes is in its range."""
    for name, allowed in ranges.items():
        _RANGES[allowed](name, getattr(inputs, name))


def check_fraction(name: str, value: Any, otherwise: str = "") -> None:
    """Raise unless ``value`` is a number in [0, 1]; ``otherwise`` says what else the argument may be."""
    wants = f"a number in [0, 1]{otherwise}"
    if not 0 <= _number(name, value, wants) <= 1:
        raise ValueError(f"{name}: got {_shown(value)}, wants {wants}")


def check_number(name: str, value: Any, wants: str = "a finite number") -> None:
    """Raise unless ``value`` is finite and in the range of float32, whatever the dtype of the tensors."""
    number = _number(name, value, wants)
    if not -LARGEST <= number <= LARGEST:  # not math.isfinite, which does not accept a traced number
        finite = -math.inf < number < math.inf
        raise ValueError(f"{name}: got {_shown(value)}, wants {wants}{IN_RANGE if finite else ''}")


def check_not_negative(name: str, value: Any, otherwise: str = "") -> None:
    """Raise unless ``value`` is a finite number >= 0; ``otherwise`` says what else the argument may be."""
    wants = f"a finite number >= 0{otherwise}"
    check_number(name, value, wants)
    if value < 0:
        raise ValueError(f"{name}: got {_shown(value)}, wants {wants}")


def check_positive(name: str, value: Any) -> None:
    """Raise unless ``value`` is a finite number > 0."""
    wants = "a finite number > 0"
    check_number(name, value, wants)
    if value < SMALLEST:
        raise ValueError(f"{name}: got {_shown(value)}, wants {wants}{IN_RANGE if value > 0 else ''}")


_RANGES = {
    "finite": check_number,
    "not_negative": check_not_negative,
    "positive": check_positive,
    "fraction": check_fraction,
}


def _number(name: str, value: Any, wants: str) -> float:
    """``value`` as a number that can be compared with floats."""
    if isinstance(value, (int, float)):
        return value
    if not isinstance(value, Real):
        raise TypeError(f"{name}: got {kind_of(value)}, wants {wants}")
    return _as_float(value)


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _shown(value: Any) -> str:
    number = _as_float(value)
    return f"{number}" if isinstance(value, float) or abs(number) < math.inf else "a number beyond float64's range"


def check_choice(name: str, value: Any, choices: Iterable[str]) -> None:
    """Raise ValueError unless ``value`` is one of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: got {value!r}, wants one of {', '.join(map(repr, choices))}")


def check_tensors(**tensors: Any) -> None:
    """Raise unless each is a tensor of the ordinary kind; some may be None."""
    for name, value in tensors.items():
        if value is None and name in OPTIONAL:
            continue
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: got {kind_of(value)}, wants a torch.Tensor")
        check_strided(name, value)


def check_strided(name: str, tensor: Tensor) -> None:
    """Raise unless the tensor is an ordinary strided one."""
    kind: str | None = None
    what: Any = tensor.layout
    if tensor.is_nested:
        kind = "nested"
    elif tensor.is_quantized:
        kind, what = "quantised", tensor.dtype
    elif what != torch.strided:
        kind = "sparse" if "sparse" in str(what) else "mkldnn"
    if kind is not None:
        raise TypeError(f"{name}: got a {kind} tensor ({what}), wants a dense (strided) one")


def check_reduction(reduction: Any) -> None:
    """Raise unless ``reduction`` is one of ``REDUCTIONS``."""
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ValueError(f"reduction: got {reduction!r}, wants 'mean', 'sum' or 'none'")


def check_eps_mode(eps_mode: Any, formula: str) -> None:
    """Raise unless ``eps_mode`` is known, and defined for this loss."""
    check_choice("eps_mode", eps_mode, EPS_MODES)
    if formula in ONE_PLACE and eps_mode != "torchvision":
        raise ValueError(f"eps_mode: got {eps_mode!r} for {formula!r}, wants 'torchvision'")
    formulas = EPS_MODES[eps_mode]
    if formulas is not None and formula not in formulas:
        raise ValueError(f"eps_mode: got {eps_mode!r} for {formula!r}, wants {', '.join(map(repr, formulas))}")


def _check_mask(mask: Any, pred: Tensor) -> None:
    if mask is None:
        return
    if not isinstance(mask, Tensor):
        raise TypeError(f"mask: got {kind_of(mask)}, wants a torch.Tensor")
    check_strided("mask", mask)
    if mask.dtype not in (torch.bool, torch.int64):
        raise TypeError(f"mask: got dtype {mask.dtype}, wants torch.bool (a mask) or torch.int64 (indices)")
    if mask.dtype == torch.bool:
        check_shape("mask", mask, pred.shape[:-1])
    if mask.dtype == torch.int64 and mask.ndim != 1:
        raise ValueError(f"mask: got indices of shape {shape_of(mask)}, wants [K]")


def check_int(name: str, value: Any) -> None:
    """Raise unless ``value`` is an int."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: got {kind_of(value)}, wants an int")


def check_ignore_index(ignore_index: Any) -> None:
    """Raise unless ``ignore_index`` is None or an int that a tensor can hold."""
    if ignore_index is None:
        return
    if not isinstance(ignore_index, int) or isinstance(ignore_index, bool):
        raise TypeError(f"ignore_index: got {kind_of(ignore_index)}, wants an int or None")
    if not -(2**63) <= ignore_index < 2**63:
        raise ValueError("ignore_index: got more than 64 bits, wants an int of 64 bits")


def check_class_dim(class_dim: Any, logits: Tensor) -> None:
    """Raise unless ``class_dim`` is a dimension of the logits."""
    check_int("class_dim", class_dim)
    dims = max(logits.ndim, 1)  # a tensor without dimensions has the class_dim -1 or 0, as in torch
    if not -dims <= class_dim < dims:
        raise ValueError(f"class_dim: got {class_dim}, wants a dimension of the logits, {-dims} to {dims - 1}")


def check_bool(name: str, value: Any) -> None:
    """Raise unless ``value`` is a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name}: got {kind_of(value)}, wants a bool")


def are_dense(targets: Tensor, logits: Tensor, class_dim: int = -1) -> bool:
    """Whether targets are dense, of the logits' shape; otherwise they are class indices. Raise if they are neither.

    Dense targets have any dtype, class indices an integer one. The shape tells them apart.
    """
    if targets.dtype not in (*FLOATING, *INTEGRAL):
        raise TypeError(f"targets: got dtype {targets.dtype}, wants a floating or an integer dtype")
    if targets.shape == logits.shape:
        return True
    rows = rows_of(logits, class_dim)
    if (not rows and not logits.ndim) or shape_of(targets) != rows:
        first = "the one class: target 1" if logits.ndim and logits.shape[class_dim] == 1 else "the first class"
        indices = f" or {rows} (class indices, where 0 is {first})" if logits.ndim else ""
        raise ValueError(f"targets: got shape {shape_of(targets)}, wants {shape_of(logits)} (dense){indices}")
    if targets.dtype not in INTEGRAL:
        wants = f"an integer dtype (class indices), or the logits' shape {shape_of(logits)}"
        raise TypeError(f"targets: got dtype {targets.dtype} and shape {rows}, wants {wants}")
    return False


def check_floating(**tensors: Tensor | None) -> None:
    """Raise unless each tensor has one of the four dtypes."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.dtype not in FLOATING:
            raise TypeError(f"{name}: got dtype {tensor.dtype}, wants float64, float32, float16 or bfloat16")


def check_shape(name: str, tensor: Tensor | None, shape: Iterable[int], owner: str = "") -> None:
    """Raise unless the tensor, if any, has ``shape``; ``owner`` says whose that is."""
    if tensor is not None and list(tensor.shape) != list(shape):
        raise ValueError(f"{name}: got shape {shape_of(tensor)}, wants {owner}{list(shape)}")


def check_per_class(name: str, option: Any, logits: Any, class_dim: Any = -1) -> None:
    """Raise unless the option, if it is a tensor, has a number for each class of the logits."""
    if not isinstance(option, Tensor) or not isinstance(logits, Tensor):
        return
    check_strided(name, option)
    check_floating(**{name: option})
    if logits.ndim == 0:
        raise ValueError("logits: got shape [], wants [..., C]")
    check_class_dim(class_dim, logits)
    check_shape(name, option, [logits.shape[class_dim]])
    check_devices("logits", logits, **{name: option})


def check_weight(weight: Tensor | None, tensor: Tensor, class_dim: int = -1) -> None:
    """Raise unless there is one weight for each number, or one for each row of them."""
    rows = rows_of(tensor, class_dim)
    if weight is not None and weight.shape != tensor.shape and (tensor.ndim == 0 or shape_of(weight) != rows):
        raise ValueError(f"weight: got shape {shape_of(weight)}, wants {shape_of(tensor)} or {rows}")


def check_devices(first: str, tensor: Tensor, **others: Any) -> None:
    """Raise unless the others that are tensors are on the device of ``tensor``, whose name is ``first``."""
    for name, other in others.items():
        if not isinstance(other, Tensor):
            continue
        check_strided(name, other)
        if other.device != tensor.device:
            raise ValueError(f"{name}: got device {other.device}, wants {first}'s device {tensor.device}")


def check_avg_factor(avg_factor: Any, reduction: str) -> None:
    """Raise unless ``avg_factor`` is None; or a number, or a tensor of one, and the reduction a mean."""
    if avg_factor is None:
        return
    if reduction != "mean":
        raise ValueError(f"avg_factor: got reduction {reduction!r}, wants 'mean'")
    if not isinstance(avg_factor, Tensor):
        number = _number("avg_factor", avg_factor, "a number or a tensor of one element")
        if number != 0 and not SMALLEST <= abs(number) <= LARGEST:
            raise ValueError(f"avg_factor: got {_shown(avg_factor)}, wants 0 or a finite number{IN_RANGE}")
        return
    if avg_factor.numel() != 1:
        raise ValueError(f"avg_factor: got shape {shape_of(avg_factor)}, wants a tensor of one element")
    if avg_factor.dtype == torch.bool or avg_factor.is_complex():
        raise TypeError(f"avg_factor: got dtype {avg_factor.dtype}, wants an integer or floating dtype")


def shape_of(tensor: Tensor) -> list[int]:
    return list(tensor.shape)


def rows_of(tensor: Tensor, class_dim: int) -> list[int]:
    """The shape of the tensor without its class dimension."""
    rows = shape_of(tensor)
    if rows:
        del rows[class_dim]
    return rows


def kind_of(value: Any) -> str:
    return type(value).__name__
