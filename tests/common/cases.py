"""The table of losses under test, the boxes and logits they are tested on, and the truth they are held against."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

import iouloss
from iouloss import reference

HALVES = (torch.float16, torch.bfloat16)
DTYPES = (torch.float64, torch.float32, *HALVES)
INTEGERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
SIZES = (0, 1, 31, 32, 33, 127, 128, 129)  # boxes or logits: around the widths of vectors, warps and blocks
FORMATS = ("xyxy", "xywh", "cxcywh")

# ---------------------------------------------------------------------------------------------------- the box losses


@dataclass(frozen=True)
class BoxCase:
    """A box loss: how it is called, the operator's name for it, and whether a part is held constant in the gradient."""

    formula: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)  # the options of the operator
    has_constant: bool = False
    eps: float = 1e-7  # the default of the loss
    is_symmetric: bool = True
    least_eps: float = 1e-7  # too small to matter to boxes in pixels

    def __call__(self, pred: Tensor, target: Tensor, weight: Tensor | None = None, **options: Any) -> Tensor:
        return iouloss.box_loss(pred, target, weight, kind=self.kind, **self.options, **options)

    def truth(self, pred: Tensor, target: Tensor, fmt: str = "xyxy", eps: float | None = None) -> Tensor:
        """The losses by the reference, in the inputs' precision."""
        eps = self.eps if eps is None else eps
        return reference.box_loss(self.inputs(pred, target, fmt=fmt, eps=eps, reduction="none"))

    def inputs(self, pred: Tensor, target: Tensor, **options: Any) -> reference.BoxInputs:
        return reference.BoxInputs(pred, target, formula=self.formula, **self.numbers, **options)


BOX_CASES = (
    BoxCase("iou", "iou"),
    BoxCase("log_iou", "iou", {"mode": "log"}),
    BoxCase("square_iou", "iou", {"mode": "square"}),
    BoxCase("giou", "giou"),
    BoxCase("diou", "diou"),
    BoxCase("ciou", "ciou", has_constant=True),
    BoxCase("eiou", "eiou"),
    BoxCase("siou", "siou", numbers={"theta": 4.0}),
    BoxCase("focal_eiou", "focal_eiou", {"gamma": 0.7}, {"gamma": 0.7}, has_constant=True),
    BoxCase("cdiou_iou", "cdiou", {"base": "iou", "lambda_": 0.3}, {"lambda_": 0.3}),
    BoxCase("cdiou_log_iou", "cdiou", {"base": "log_iou"}, {"lambda_": 1.0}),
    BoxCase("cdiou_giou", "cdiou", numbers={"lambda_": 1.0}),
    BoxCase("cdiou_diou", "cdiou", {"base": "diou", "lambda_": 2.0}, {"lambda_": 2.0}),
    BoxCase("cdiou_ciou", "cdiou", {"base": "ciou"}, {"lambda_": 1.0}, has_constant=True),
    BoxCase("bounded_iou", "bounded_iou", numbers={"beta": 0.2}, eps=1e-3, is_symmetric=False, least_eps=0.0),
)

BOX_CASE = {case.formula: case for case in BOX_CASES}
every_case = pytest.mark.parametrize("case", BOX_CASES, ids=lambda case: case.formula)
every_format = pytest.mark.parametrize("fmt", FORMATS)

# Of each kink, the prediction and the target. KINK_VALUES are GIoU, DIoU and CIoU, KINK_GRADIENTS are of GIoU and DIoU:
# those of torchvision, except where it gives NaN.
TARGET = (10.0, 20.0, 50.0, 80.0)
KINKS: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "identical": (TARGET, TARGET),
    "two shared edges": ((10, 20, 40, 70), TARGET),
    "one shared edge": ((10, 25, 40, 70), TARGET),
    "touching edge": ((50, 30, 70, 60), TARGET),
    "touching corner": ((50, 80, 70, 90), TARGET),
    "contained": ((20, 30, 40, 70), TARGET),
    "same centre": ((25, 40, 35, 60), TARGET),
    "h = 0": ((20, 30, 40, 30), TARGET),
    "w = 0": ((20, 30, 20, 60), TARGET),
    "point": ((20, 30, 20, 30), TARGET),
    "point on a corner": ((10, 20, 10, 20), TARGET),
    "line on an edge": ((10, 20, 50, 20), TARGET),
    "flat target": ((10, 20, 50, 80), (20, 30, 40, 30)),
    "same line": ((20, 30, 40, 30), (20, 30, 40, 30)),
    "crossing lines": ((20, 30, 40, 30), (30, 20, 30, 40)),
    "same point": ((0, 0, 0, 0), (0, 0, 0, 0)),
    "two points": ((1, 2, 1, 2), (5, 7, 5, 7)),
    "w inverted": ((40, 30, 20, 60), TARGET),
    "h inverted": ((20, 60, 40, 30), TARGET),
    "both inverted": ((40, 60, 20, 30), TARGET),
    "inverted onto itself": ((50, 80, 10, 20), TARGET),
    "square": ((10, 20, 40, 50), TARGET),
    "apart": ((60, 90, 70, 95), TARGET),
    "half a side off": ((30, 20, 70, 80), TARGET),
}
KINK_VALUES = {
    "identical": (0.0, 0.0, 0.0),
    "two shared edges": (0.375, 0.3846154, 0.3846176),
    "touching edge": (1.1666666, 1.1284722, 1.1284722),
    "touching corner": (1.3809524, 1.25, 1.2607561),
    "h = 0": (1.0, 1.0769231, 1.1870517),
    "point": (1.0, 1.0961539, 1.1133759),
    "same point": (1.0, 1.0, 1.0),
}
KINK_GRADIENTS = {
    "identical": ((0, 0, 0, 0), (0, 0, 0, 0)),
    "two shared edges": (
        (0.00182292, 0.000260415, -0.0208333, -0.0125),
        (0.00301868, 0.00149316, -0.0217949, -0.0134615),
    ),
    "touching edge": (
        (0.00833333, 0.00555556, 0.00555556, -0.00555556),
        (0.00416667, -0.000694444, 0.00202546, -0.000694444),
    ),
    "touching corner": ((0.00238095, 0.0047619, 0.00793651, 0.00408163), (0.00352941, 0.00411765, 0, 0)),
    "h = 0": ((0, 0.00833333, 0, -0.00833333), (0, -0.00384615, 0, -0.00384615)),
    "point": ((0, 0, 0, 0), (-0.00192308, -0.00384615, -0.00192308, -0.00384615)),
    "same point": ((0, 0, 0, 0), (0, 0, 0, 0)),
}


def kink_boxes(dtype: torch.dtype, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    pairs = torch.tensor(list(KINKS.values()), dtype=torch.float64) * scale
    return pairs[:, 0].to(dtype), pairs[:, 1].to(dtype)


def random_boxes(n: int, scale: float, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pairs of all degrees of overlap, of sizes from 1/100 of the image up, none inverted."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    centre, size = uniform(n, 2), 0.01 + 0.5 * uniform(n, 2) ** 2
    shift = (2 * uniform(n, 2) - 1) * size * 2 * uniform(n, 1) ** 2
    grow = torch.exp(uniform(n, 2) * 2 - 1)
    pred = torch.cat((centre - size / 2, centre + size / 2), -1)
    target = torch.cat((centre + shift - size * grow / 2, centre + shift + size * grow / 2), -1)
    return (pred * scale).to(dtype), (target * scale).to(dtype)


def degenerate_boxes(n: int, scale: float, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Pairs with lines, points, slivers, shared edges, touching edges and equal boxes, none inverted."""
    pred, target = random_boxes(n, scale, dtype, seed=1)
    kind = torch.arange(n) % 10
    pred[kind == 0, 3] = pred[kind == 0, 1]
    pred[kind == 1, 2] = pred[kind == 1, 0]
    pred[kind == 2, 2:] = pred[kind == 2, :2]
    target[kind == 3, 2:] = target[kind == 3, :2]
    target[kind == 4] = pred[kind == 4]
    pred[kind == 5, :2] = target[kind == 5, :2]
    pred[kind == 5, 2:] = torch.maximum(pred[kind == 5, 2:], pred[kind == 5, :2])
    target[kind == 6] += pred[kind == 6, 2:3] - target[kind == 6, 0:1]
    pred[kind == 7, 3] = (pred[kind == 7, 1].double() + 1e-4 * scale).to(dtype)
    pred[kind == 8, 2:] = pred[kind == 8, :2]
    target[kind == 8] = pred[kind == 8]
    target[kind == 9] = (target[kind == 9].double() + 3 * scale).to(dtype)
    return pred, target


def to_format(boxes: Tensor, fmt: str) -> Tensor:
    """Corners as ``fmt``."""
    low, high = boxes[..., :2], boxes[..., 2:]
    if fmt == "xyxy":
        return boxes
    return torch.cat((low if fmt == "xywh" else (low + high) / 2, high - low), -1)


def to_corners(boxes: Tensor, fmt: str) -> Tensor:
    """``fmt`` as corners."""
    first, size = boxes[..., :2], boxes[..., 2:]
    if fmt == "xyxy":
        return boxes
    low = first if fmt == "xywh" else first - size / 2
    return torch.cat((low, low + size), -1)


# --------------------------------------------------------------------------------- the box losses, once more, by hand


def naive_box_loss(
    case: BoxCase, pred: Sequence[float], target: Sequence[float], eps: float, at: Sequence[float] | None = None
) -> float:
    """The formula as the paper prints it, on Python floats; what is held constant is taken at the prediction ``at``."""
    if case.formula == "bounded_iou":
        return _naive_bounded_iou_loss(pred, target, case.numbers["beta"], eps)
    terms = _naive_terms(pred, target, eps)
    constants = _naive_terms(pred if at is None else at, target, eps)
    iou = terms["iou"]
    diou = 1 - iou + terms["centre"]
    base = {
        "iou": 1 - iou,
        "log_iou": -math.log(max(iou, eps)),
        "square_iou": 1 - iou**2,
        "giou": 1 - iou + terms["enclosing"],
        "diou": diou,
        "ciou": diou + constants["alpha"] * terms["v"],
        "eiou": diou + terms["sides"],
        "siou": 1 - iou + terms["angle"] + terms["shape"],
        "focal_eiou": constants["iou"] ** case.numbers.get("gamma", 0.0) * (diou + terms["sides"]),
    }
    if case.formula in base:
        return base[case.formula]
    return base[case.formula.removeprefix("cdiou_")] + case.numbers["lambda_"] * terms["corners"]


def _naive_bounded_iou_loss(pred: Sequence[float], target: Sequence[float], beta: float, eps: float) -> float:
    loss = 0.0
    for low, high in ((0, 2), (1, 3)):
        side, wanted = pred[high] - pred[low], target[high] - target[low]
        apart = abs((pred[low] + pred[high]) / 2 - (target[low] + target[high]) / 2)
        by_place = 1 - max((wanted - 2 * apart) / (wanted + 2 * apart + eps), 0)
        by_side = 1 - min(wanted / (side + eps), side / (wanted + eps))
        loss += sum(x * x / (2 * beta) if x < beta else x - beta / 2 for x in (by_place, by_side))
    return loss


def _naive_terms(pred: Sequence[float], target: Sequence[float], eps: float) -> dict[str, float]:
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = pred, target
    inter = max(min(ax2, bx2) - max(ax1, bx1), 0) * max(min(ay2, by2) - max(ay1, by1), 0)
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - inter
    cw, ch = max(ax2, bx2) - min(ax1, bx1), max(ay2, by2) - min(ay1, by1)
    dx, dy = (ax1 + ax2 - bx1 - bx2) / 2, (ay1 + ay2 - by1 - by2) / 2
    dw, dh = (ax2 - ax1) - (bx2 - bx1), (ay2 - ay1) - (by2 - by1)
    iou = inter / (union + eps)
    v = 4 / math.pi**2 * (math.atan((bx2 - bx1) / (by2 - by1)) - math.atan((ax2 - ax1) / (ay2 - ay1))) ** 2
    gamma = 2 - 2 * abs(dx * dy) / (dx**2 + dy**2) if dx or dy else 2.0
    exponents = [gamma * d**2 / (side**2 + eps) for d, side in ((dx, cw), (dy, ch))]
    shares = [abs(dw) / max(ax2 - ax1, bx2 - bx1), abs(dh) / max(ay2 - ay1, by2 - by1)]
    corners = [(ax1 - bx1, ay1 - by1), (ax2 - bx2, ay1 - by1), (ax2 - bx2, ay2 - by2), (ax1 - bx1, ay2 - by2)]
    return {
        "iou": iou,
        "enclosing": (cw * ch - union) / (cw * ch + eps),
        "centre": (dx**2 + dy**2) / (cw**2 + ch**2 + eps),
        "v": v,
        "alpha": v / (1 - iou + v + eps),
        "angle": sum(1 - math.exp(-x) for x in exponents) / 2,
        "shape": sum((1 - math.exp(-x)) ** 4 for x in shares) / 2,
        "sides": dw**2 / (cw**2 + eps) + dh**2 / (ch**2 + eps),
        "corners": sum(math.hypot(*corner) for corner in corners) / (4 * math.hypot(cw, ch)),
    }


# ----------------------------------------------------------------------------------------------------------- the logits

GAMMAS = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)
every_gamma = pytest.mark.parametrize("gamma", GAMMAS)


def uniform(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def random_logits(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return (20 * uniform(*shape) - 10).to(dtype)


def random_targets(*shape: int, hard: bool, dtype: torch.dtype = torch.float64) -> Tensor:
    targets = uniform(*shape, seed=1)
    return (targets > 0.7).to(dtype) if hard else targets.to(dtype)


def one_hot(classes: Tensor, count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return (classes[..., None] == torch.arange(count)).to(dtype)


# ------------------------------------------------------------------------------------------------------------- helpers


def evaluate(function: Callable[..., Tensor], *inputs: Tensor, upstream: Tensor | None = None) -> list[Tensor]:
    """The loss, and for each input the gradient of its sum, or of its product with ``upstream``. All on the CPU."""
    leaves = [tensor.detach().requires_grad_() for tensor in inputs]
    loss = function(*leaves)
    gradients = torch.autograd.grad(loss, leaves, torch.ones_like(loss) if upstream is None else upstream)
    return [tensor.detach().cpu() for tensor in (loss, *gradients)]


def same(got: list[Tensor], want: list[Tensor], rtol: float = 1e-6) -> None:
    for g, w in zip(got, want, strict=True):
        torch.testing.assert_close(g, w, rtol=rtol, atol=1e-9)


def box_losses(case: BoxCase, *boxes: Tensor, **options) -> list[Tensor]:
    """The losses, and the gradients of their sum with respect to prediction and target."""
    return evaluate(lambda *b: case(*b, reduction="none", **options), *boxes)


def box_truths(case: BoxCase, *boxes: Tensor, **options) -> list[Tensor]:
    """The same by the reference in float64, of the same rounded boxes."""
    return evaluate(lambda *b: case.truth(*b, **options), *(box.cpu().double() for box in boxes))


def misaligned(tensor: Tensor) -> Tensor:
    """The same values in memory that begins one element after an aligned address."""
    buffer = tensor.new_empty(tensor.numel() + 1)[1:].view(tensor.shape)
    return buffer.copy_(tensor)


def layouts(tensor: Tensor) -> dict[str, Tensor]:
    """The same values [N, C] with other strides and offsets."""
    n, c = tensor.shape
    wide = tensor.new_full((n, c + 3), math.nan)
    wide[:, 1 : c + 1] = tensor
    return {
        "misaligned": misaligned(tensor),
        "transposed": tensor.t().contiguous().t(),
        "columns of a wider tensor": wide[:, 1 : c + 1],
        "the first columns": torch.cat((tensor, wide), 1)[:, :c],  # of rows that do not begin at aligned addresses
        "every other row": torch.stack((tensor, torch.full_like(tensor, math.nan)), 1).flatten(0, 1)[::2],
        "every other column": torch.stack((tensor, torch.full_like(tensor, math.nan)), -1).flatten(1)[:, ::2],
        "reversed by index": tensor.flip(0)[torch.arange(n - 1, -1, -1, device=tensor.device)],
    }
