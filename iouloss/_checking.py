"""Checks of the tensors' values, for calls that ask for them. Without these a loss checks shapes, dtypes and numbers.

A function here takes the inputs of the operator of the same name. It raises a ValueError that names a bad value.
"""

import functools
import inspect
import math
import threading
import warnings
from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from ._backend import switch
from ._inputs import BoxInputs, LogitInputs, RegionInputs, RegressionInputs, RowInputs
from .checks.boxes import check_box_loss
from .checks.logits import check_logit_loss
from .checks.regions import check_region_loss
from .checks.regression import check_regression_loss
from .checks.rows import check_row_loss
from .checks.tensors import are_dense
from .reference.boxes import kept_boxes
from .reference.regions import equal_to

_always = switch("IOULOSS_CHECK")
_asked: ContextVar[bool] = ContextVar("iouloss_checking", default=_always)
_open = int(_always)  # how many contexts are open, in all threads
_lock = threading.Lock()
_warned = False

wanted = _always  # whether any thread asks for checks; as long as none does, a call reads only this

_Function = TypeVar("_Function", bound=Callable[..., Any])


class checking(ContextDecorator):
    """Where it is entered, every loss checks the values that it is given, and raises ValueError for a wrong one.

    A context manager and a decorator::

        with iouloss.checking():
            loss = iouloss.sigmoid_focal_loss(logits, classes)

        @iouloss.checking()
        def training_step(batch): ...

    ``IOULOSS_CHECK=1`` in the environment asks for the same from the import on. The error names the argument, the first
    bad value and its position, how many bad values there are, and what is allowed::

        targets: got 255 at [0, 7], the first of 12, wants a class in [0, 80), -1 or 80 (background) or -100 (ignored)

    It raises for

    - class indices that are neither a class nor ``ignore_index``; -1 and ``C`` are allowed, too, as background, by the
      losses that have one: those of single logits and of regions
    - dense targets and ``scores`` outside [0, 1], but for an explicit ``ignore_index``; probabilities (of
      ``activation=None``) outside it; negative ones of :func:`kl_div_loss`; places outside ``[0, bins - 1]`` of
      :func:`distribution_focal_loss`
    - boxes that are inverted or not finite, predicted or true, unless a ``mask`` leaves them out
    - numbers of a regression loss that are not finite
    - logits that are NaN, unless they are ignored
    - ``weight``, ``class_weight`` and ``pixel_weight`` that are not finite; ``alpha`` or ``balance`` of a class outside
      [0, 1]; ``pos_weight`` of a class, and ``alpha`` of one in :func:`softmax_focal_loss`, below 0 or not finite
    - an ``avg_factor`` that is not finite, or that is 0 where there is something to divide

    It holds on every device and backend. It waits for the device and costs more than most losses do: it is for finding
    a fault, not for training. Calls that are traced by ``torch.compile``, ``torch.export``, ``make_fx``, a transform of
    ``torch.func`` or a CUDA graph have no values to look at, and are not checked; a warning tells of the
    first.

    It holds for the thread or asynchronous task that enters it, and for the tasks that this one starts. A thread that
    it starts begins as the environment says.
    """

    def __init__(self) -> None:
        self._tokens: list[Token[bool]] = []

    def __enter__(self) -> None:
        self._tokens.append(_asked.set(True))
        _count(1)

    def __exit__(self, *error: object) -> None:
        _count(-1)
        _asked.reset(self._tokens.pop())

    def __call__(self, function: _Function) -> _Function:
        # A call of such a function returns before its body runs: by then the context would be closed.
        if any(is_late(function) for is_late in (inspect.iscoroutinefunction, inspect.isgeneratorfunction)):
            raise TypeError("checking: got an async or generator function, wants `with checking():` inside it")
        return super().__call__(function)

    def _recreate_cm(self) -> "checking":
        return checking()  # a decorated function gets a context of its own for each call


def _count(more: int) -> None:
    global _open, wanted
    with _lock:
        _open += more
        wanted = _open > 0


# ----------------------------------------------------------------------------------------------- what can be looked at


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # called while the compiler traces
def _tell() -> None:
    """Warn once that a call is not checked."""
    global _warned
    if _asked.get() and not _warned:
        _warned = True
        warnings.warn("iouloss.checking: traced calls have no values, and are not checked", RuntimeWarning, 5)


def _are_traced(values: tuple[Any, ...]) -> bool:
    """Whether a transform, a tracer or a CUDA graph is active, so that values cannot be read."""
    modes = torch._C._TorchDispatchModeKey
    tensors = [value for value in values if isinstance(value, Tensor)]
    return (
        torch._C._functorch.maybe_current_level() is not None
        or any(torch._C._get_dispatch_mode(key) is not None for key in (modes.FAKE, modes.PROXY, modes.FUNCTIONAL))
        or any(tensor.is_meta or isinstance(tensor, FakeTensor) for tensor in tensors)
        or (any(tensor.is_cuda for tensor in tensors) and torch.cuda.is_current_stream_capturing())
    )


def _where_asked(check: Callable[..., None]) -> Callable[..., None]:
    """Make the check run only for calls that ask for it and whose values can be read."""

    @functools.wraps(check)
    def checked(inputs: Any) -> None:
        if torch.compiler.is_compiling():
            _tell()
        elif _asked.get():
            if _are_traced(inputs):
                _tell()
            else:
                with torch.no_grad():
                    check(inputs)

    return checked


# --------------------------------------------------------------------------------------------------- parts of a check


def _refuse(name: str, values: Tensor, bad: Tensor, kept: Tensor | None, wants: str) -> None:
    """Raise if a value that counts is bad. ``kept`` says which values count; if it is None, all do.

    ``bad`` has the shape of ``values``, or lacks the last dimension if a row of it is one value, such as a box.
    """
    if kept is not None:
        bad = bad & kept
    if not bool(bad.any()):
        return
    place = bad.nonzero()[0].tolist()
    got = values[tuple(place)].tolist()
    raise ValueError(f"{name}: got {got} at {place}, the first of {int(bad.sum())}, wants {wants}")


def _refuse_nan(name: str, values: Tensor, kept: Tensor | None = None) -> None:
    _refuse(name, values, values.isnan(), kept, "no NaN")


def _refuse_infinite(name: str, values: Tensor | None, kept: Tensor | None = None) -> None:
    if values is not None:
        _refuse(name, values, ~values.isfinite(), kept, "finite numbers")


def _refuse_negative(name: str, values: Tensor) -> None:
    _refuse(name, values, ~((values >= 0) & values.isfinite()), None, "finite numbers >= 0")


def _refuse_outside(name: str, values: Tensor, highest: float, kept: Tensor | None = None, wants: str = "") -> None:
    outside = ~((values >= 0) & (values <= highest))
    _refuse(name, values, outside, kept, f"{wants or 'numbers'} in [0, {highest}]")


def _refuse_divisor(avg_factor: Tensor | float | None, divided: Tensor) -> None:
    if avg_factor is None:
        return
    divisor = float(avg_factor.item() if isinstance(avg_factor, Tensor) else avg_factor)
    # 0 / 0 counts as 0, so an empty tensor may have a divisor of 0.
    if not math.isfinite(divisor) or (divisor == 0 and divided.numel() > 0):
        raise ValueError(f"avg_factor: got {divisor}, wants a finite number other than 0")


def _dense_kept(targets: Tensor, ignore_index: int | None, kept: Tensor | None = None) -> Tensor | None:
    """Check dense targets, and return which of them count."""
    wants = "numbers"
    if ignore_index is not None:
        counts = ~equal_to(targets, ignore_index)
        kept = counts if kept is None else kept & counts
        wants = f"{ignore_index} (ignored) or numbers"
    _refuse_outside("targets", targets, 1, kept, wants)
    return kept


def _indices_kept(
    targets: Tensor, classes: int, ignore_index: int | None, background: bool, kept: Tensor | None = None
) -> Tensor:
    """Check class indices, and return which of them count: those not ignored, and not left out by ``kept``."""
    ignored = -100 if ignore_index is None else ignore_index
    counts = ~equal_to(targets, ignored)
    if kept is not None:
        counts = counts & kept
    index, beyond = targets.long(), int(background)
    others = f"-1 or {classes} (background) or {ignored} (ignored)" if background else f"{ignored} (ignored)"
    comma = "," if background else " or"
    outside = (index < -beyond) | (index >= classes + beyond)
    _refuse("targets", targets, outside, counts, f"a class in [0, {classes}){comma} {others}")
    return counts


# ------------------------------------------------------------------------------------------------ a check of each shape


@_where_asked
def box_loss(inputs: BoxInputs) -> None:
    check_box_loss(inputs)
    kept, _ = kept_boxes(inputs)
    fmt = inputs.fmt
    wants = "x1 <= x2 and y1 <= y2" if fmt == "xyxy" else "w >= 0 and h >= 0"
    for name, boxes in (("pred", inputs.pred), ("target", inputs.target)):
        _refuse_infinite(name, boxes, None if kept is None else kept[..., None])
        start, end = boxes[..., :2], boxes[..., 2:]
        inverted = (end < start if fmt == "xyxy" else end < 0).any(-1)
        _refuse(name, boxes, inverted, kept, wants)
    _refuse_infinite("weight", inputs.weight, kept)
    _refuse_divisor(inputs.avg_factor, inputs.pred)


@_where_asked
def logit_loss(inputs: LogitInputs) -> None:
    check_logit_loss(inputs)
    logits, targets, weight, avg_factor, formula, ignore_index, _, scores, alpha, balance, *_ = inputs
    class_dim = inputs.class_dim
    kept = rows = None
    if formula == "binary_entropy":
        pass  # it has no targets
    elif are_dense(targets, logits, class_dim):
        kept = _dense_kept(targets, ignore_index)
    else:
        classes = logits.shape[class_dim]
        rows = _indices_kept(targets, classes, ignore_index, background=True)
        kept = rows.unsqueeze(class_dim)
        if scores is not None:
            _refuse_outside("scores", scores, 1, rows & (targets >= 0) & (targets < classes))
    _refuse_nan("logits", logits, kept)
    _refuse_infinite("weight", weight, kept if weight is not None and weight.shape == logits.shape else rows)
    if balance is not None:
        _refuse_outside("balance", balance, 1)
    if alpha is not None and formula == "binary_cross_entropy":
        _refuse_negative("pos_weight", alpha)
    elif alpha is not None:
        _refuse_outside("alpha", alpha, 1)
    _refuse_divisor(avg_factor, logits)


@_where_asked
def regression_loss(inputs: RegressionInputs) -> None:
    check_regression_loss(inputs)
    for name in ("pred", "target", "weight"):
        _refuse_infinite(name, getattr(inputs, name))
    _refuse_divisor(inputs.avg_factor, inputs.pred)


@_where_asked
def row_loss(inputs: RowInputs) -> None:
    check_row_loss(inputs)
    logits, targets, weight, avg_factor, formula, ignore_index, _, class_dim, class_weight, *_ = inputs
    labels = logits if targets is None else targets  # an entropy has none
    classes, kept = logits.shape[class_dim], None
    if formula in ("softmax_focal", "cross_entropy") and are_dense(labels, logits, class_dim):
        _refuse_outside("targets", labels, 1)
    elif formula in ("softmax_focal", "cross_entropy"):
        kept = _indices_kept(labels, classes, ignore_index, background=False)
    elif formula == "distribution_focal":
        _refuse_outside("targets", labels, classes - 1, wants="places")
    elif formula == "kl_div":
        _refuse_negative("targets", labels)
    _refuse_nan("logits", logits, None if kept is None else kept.unsqueeze(class_dim))
    _refuse_infinite("weight", weight, kept)
    if class_weight is not None and formula == "softmax_focal":
        _refuse_negative("alpha", class_weight)
    else:
        _refuse_infinite("class_weight", class_weight)
    _refuse_divisor(avg_factor, logits)


@_where_asked
def region_loss(inputs: RegionInputs) -> None:
    check_region_loss(inputs)
    logits, targets, activation = inputs.logits, inputs.targets, inputs.activation
    ignore_index, pixel_weight = inputs.ignore_index, inputs.pixel_weight
    counts = kept = None
    if pixel_weight is not None:
        _refuse_infinite("pixel_weight", pixel_weight)
        counts = (pixel_weight != 0).reshape(logits.shape[0], 1, *logits.shape[2:])
    if are_dense(targets, logits, 1):
        kept = _dense_kept(targets, ignore_index, counts)
    else:
        pixels = None if counts is None else counts[:, 0]
        kept = _indices_kept(targets, logits.shape[1], ignore_index, background=True, kept=pixels)[:, None]
    if kept is not None and activation == "softmax":
        kept = kept.any(1, keepdim=True)
    if activation == "none":
        _refuse_outside("logits", logits, 1, kept, "probabilities")
    else:
        _refuse_nan("logits", logits, kept)
    _refuse_infinite("weight", inputs.weight)
    _refuse_infinite("class_weight", inputs.class_weight)
    _refuse_divisor(inputs.avg_factor, logits)
