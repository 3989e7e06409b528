"""Tensors: kind, dtype, shape and device."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .numbers import IN_RANGE, LARGEST, SMALLEST, as_number, check_int, kind_of, shown

FLOATING = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
INTEGRAL = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
OPTIONAL = ("weight", "scores")  # tensors that may be None
MOST_CLASSES = 2**24  # the kernels store class numbers in float32, which is exact up to here


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


def check_floating(**tensors: Tensor | None) -> None:
    """Raise unless each tensor has one of the four dtypes."""
    for name, tensor in tensors.items():
        if tensor is not None and tensor.dtype not in FLOATING:
            raise TypeError(f"{name}: got dtype {tensor.dtype}, wants float64, float32, float16 or bfloat16")


def check_shape(name: str, tensor: Tensor | None, shape: Iterable[int], owner: str = "") -> None:
    """Raise unless the tensor, if any, has ``shape``; ``owner`` says whose that is."""
    if tensor is not None and list(tensor.shape) != list(shape):
        raise ValueError(f"{name}: got shape {shape_of(tensor)}, wants {owner}{list(shape)}")


def check_devices(first: str, tensor: Tensor, **others: Any) -> None:
    """Raise unless the others that are tensors are on the device of ``tensor``, whose name is ``first``."""
    for name, other in others.items():
        if not isinstance(other, Tensor):
            continue
        check_strided(name, other)
        if other.device != tensor.device:
            raise ValueError(f"{name}: got device {other.device}, wants {first}'s device {tensor.device}")


def check_class_dim(class_dim: Any, logits: Tensor) -> None:
    """Raise unless ``class_dim`` is a dimension of the logits."""
    check_int("class_dim", class_dim)
    dims = max(logits.ndim, 1)  # a tensor without dimensions has the class_dim -1 or 0, as in torch
    if not -dims <= class_dim < dims:
        raise ValueError(f"class_dim: got {class_dim}, wants a dimension of the logits, {-dims} to {dims - 1}")


def check_number_of_classes(classes: int) -> None:
    """Raise if there are more classes than the kernels can number."""
    if classes > MOST_CLASSES:
        raise ValueError(f"logits: got {classes} classes, wants at most {MOST_CLASSES}")


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


def check_per_class(name: str, option: Any, logits: Any, class_dim: Any = -1) -> None:
    """Raise unless the option, if it is a tensor, has a number for each class of the logits."""
    if not isinstance(option, Tensor) or not isinstance(logits, Tensor) or logits.is_nested:
        return  # what logits must be is checked with the rest
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


def check_avg_factor(avg_factor: Any, reduction: str) -> None:
    """Raise unless ``avg_factor`` is None, or a number or a tensor of one element and the reduction a mean."""
    if avg_factor is None:
        return
    if reduction != "mean":
        raise ValueError(f"avg_factor: got reduction {reduction!r}, wants 'mean'")
    if not isinstance(avg_factor, Tensor):
        number = as_number("avg_factor", avg_factor, "a number or a tensor of one element")
        if number != 0 and not SMALLEST <= abs(number) <= LARGEST:
            raise ValueError(f"avg_factor: got {shown(avg_factor)}, wants 0 or a finite number{IN_RANGE}")
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
