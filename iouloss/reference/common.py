"""What the reference losses share: the dtype of the computation, a division with 0/0 = 0, and the reduction."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import has_static_value

IGNORED = -100  # the class index that is ignored if the caller names none


def compute_dtype(*tensors: Tensor) -> torch.dtype:
    """float64 if any of the tensors is float64, else float32."""
    return torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors) else torch.float32


def is_constant(number: Any) -> bool:
    """Whether a value is constant to the compiler: it is no number, or one that the compiler has not seen change."""
    return not isinstance(number, (int, float, torch.SymInt, torch.SymFloat)) or has_static_value(number)


def as_tensor(number: Any, dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """A number as a tensor. Not by torch.full, which makes a changing number a constant of the compiled graph."""
    tensor: Tensor = torch.ones((), dtype=dtype, device=device) * number
    return tensor


def open_number(number: Tensor | float, beside: Tensor) -> Tensor | float:
    """A number for an operator that would make it a constant of the compiled graph: as a tensor if it changes."""
    return number if is_constant(number) else as_tensor(number, beside.dtype, beside.device)


def log(number: float) -> float:
    """The natural logarithm, by functions that a compiler supports for numbers that change."""
    return math.log2(number) * math.log(2)


def expm1(number: float) -> float:
    """exp(number) - 1, by functions that a compiler supports for numbers that change."""
    root: float = math.e ** (number / 2)
    return 2 * math.sinh(number / 2) * root


def count_up(to: int, like: Tensor) -> Tensor:
    """0, 1, ..., to - 1, as a tensor of the class of ``like``: torch.arange makes none that works with a DTensor."""
    return like.new_ones(to, dtype=torch.int64).cumsum(0) - 1


def divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient; 0 with gradient 0 where the denominator is 0."""
    # The denominator is replaced before the division, not the quotient after it: else the backward pass has 0 * inf.
    zero = denominator == 0
    return torch.where(zero, 0.0, numerator / torch.where(zero, 1.0, denominator))


def bounded(x: Tensor) -> Tensor:
    """Replace infinities by the largest numbers. Not by a clamp, which has no gradient at NaN."""
    largest = torch.finfo(x.dtype).max
    return torch.where(x > largest, largest, torch.where(x < -largest, -largest, x))


def times(factor: Tensor, value: Tensor) -> Tensor:
    """The product; 0 if the factor is 0, even if the value is infinite."""
    return factor * torch.where(factor == 0, bounded(value), value)


def smooth_l1(x: Tensor, beta: float) -> Tensor:
    """x**2 / (2 beta) where x < beta, else x - beta / 2."""
    near = x < beta
    inside = torch.where(near, x, 0.0)
    return torch.where(near, 0.5 * inside * (inside / (beta or 1.0)), x - 0.5 * beta)


def reduce_loss(loss: Tensor, weight: Tensor | None, avg_factor: Tensor | float | None, reduction: str) -> Tensor:
    """Weight the losses. Return them, their sum, or their sum divided by ``avg_factor``, by default by their number."""
    if weight is not None:
        loss = loss * weight.to(loss.dtype)
    if reduction == "none":
        return loss
    total = loss.sum()
    if reduction == "sum":
        return total
    if avg_factor is None:
        return total / max(loss.numel(), 1)
    if isinstance(avg_factor, Tensor):
        return divide(total, avg_factor.reshape(()).to(loss.dtype))
    return total / float(avg_factor) if avg_factor != 0 else total * 0.0


class FiniteGradient(torch.autograd.Function):
    """The identity on rows of numbers that make one loss each, such as boxes, with a mended backward.

    The backward saturates values that overflowed. It gives NaN for rows that contain NaN or Inf. The second output is a
    zero to be added to the loss: its gradient is that of the loss. Where that is not finite (an overflow upstream,
    which a gradient scaler must see), nothing is mended. In forward mode there is nothing to mend at this point. The
    tangent of the zero marks with NaN the rows that ``FiniteTangent`` must not mend at the end.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(boxes: Tensor) -> tuple[Tensor, Tensor]:
        return boxes.clone(), torch.zeros_like(boxes[..., 0])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_loss: Tensor) -> Tensor:
        (boxes,) = ctx.saved_tensors
        finite = torch.isfinite(boxes).all(-1, keepdim=True)
        mended = torch.where(torch.isfinite(grad_loss)[..., None], torch.nan_to_num(grad, nan=0.0), grad)
        return torch.where(finite, mended, math.nan)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> tuple[Tensor, Tensor]:
        (boxes,) = ctx.saved_tensors
        finite = (torch.isfinite(boxes) & torch.isfinite(tangent)).all(-1)
        return tangent.clone(), torch.where(finite, 0.0, math.nan).to(tangent.dtype)


class FiniteTangent(torch.autograd.Function):
    """A loss plus the zero of ``FiniteGradient``. Its tangent saturates, and is NaN where the zero is marked."""

    generate_vmap_rule = True

    @staticmethod
    def forward(loss: Tensor, zero: Tensor) -> Tensor:
        return loss + zero

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        return grad, grad

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, mark: Tensor) -> Tensor:
        return torch.nan_to_num(tangent, nan=0.0) + mark


# The compiler does not trace these two classes, because they have a jvp. It puts their calls into the graph as they are
# (allow_in_graph), and a later stage traces them there.
@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _with_finite_gradient(rows: Tensor) -> tuple[Tensor, Tensor]:
    given: tuple[Tensor, Tensor] = FiniteGradient.apply(rows)
    return given


@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _with_finite_tangent(loss: Tensor, zero: Tensor) -> Tensor:
    finite: Tensor = FiniteTangent.apply(loss, zero)
    return finite


def finite_losses(formula: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """The loss of each row of numbers ``[..., k]``: finite rows have a finite loss, gradient and tangent.

    Values that overflow saturate, 0/0 is 0, and a row with a NaN or Inf has NaN in all three.
    """
    given, zero = _with_finite_gradient(rows)
    loss = torch.where(torch.isfinite(given).all(-1), torch.nan_to_num(formula(given), nan=0.0), math.nan)
    finite: Tensor = _with_finite_tangent(loss, zero)
    return finite
