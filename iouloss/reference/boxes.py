"""Box losses in plain PyTorch: each is a sum of terms over the geometry of a pair of boxes.

Every operation is differentiable, so autograd gives the gradient and the gradient's gradient, also under
``torch.func`` and ``torch.compile``. A term divides only through ``divide``, takes roots only through ``_length``
and meets ties only in ``torch.maximum`` and ``torch.minimum`` (which split the gradient in halves), so that no
backward makes a NaN at a kink.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .._inputs import BoxInputs
from ..checks.boxes import check_box_loss
from .common import as_tensor, compute_dtype, divide, finite_losses, log, open_number, reduce_loss, smooth_l1
from .placement import Placement, place


class Pair(NamedTuple):
    """The geometry of paired boxes (x1, y1, x2, y2) and (tx1, ty1, tx2, ty2), independent of their position."""

    w: Tensor  # sides of the prediction
    h: Tensor
    target_w: Tensor  # sides of the target
    target_h: Tensor
    inter: Tensor  # areas of intersection, union and enclosing box
    union: Tensor
    hull: Tensor
    cw: Tensor  # sides of the enclosing box
    ch: Tensor
    left: Tensor  # x1 - tx1, y1 - ty1, x2 - tx2, y2 - ty2
    top: Tensor
    right: Tensor
    bottom: Tensor
    unit: Tensor  # the factor that scaled the boxes: 1, or less where they were shrunk
    eps: Placement
    area_eps: Tensor  # added to areas and squared lengths
    length_eps: Tensor  # added to lengths


# ---------------------------------------------------------------------------------------------------------- terms


def iou(pair: Pair) -> Tensor:
    """Intersection over union."""
    value = divide(pair.inter, pair.union + pair.area_eps)
    return _at_least(pair.eps.least_iou, value) if pair.eps.least_iou else value


def overlap_term(pair: Pair) -> Tensor:
    """1 - IoU."""
    return 1 - iou(pair)


def log_overlap_term(pair: Pair) -> Tensor:
    """-ln(max(IoU, eps)). The gradient is 0 where IoU <= eps."""
    value, least = iou(pair), pair.eps.ratio
    inside = value > least
    ceiling = open_number(-log(least) if least > 0 else torch.finfo(value.dtype).max, value)
    return torch.where(inside, -torch.log(torch.where(inside, value, 1.0)), ceiling)


def enclosing_term(pair: Pair) -> Tensor:
    """Share of the enclosing box that neither box covers."""
    return divide(pair.hull - pair.union, pair.hull + pair.area_eps)


def centre_term(pair: Pair) -> Tensor:
    """Squared distance of the centres over the squared diagonal of the enclosing box."""
    dx = (pair.left + pair.right) / 2
    dy = (pair.top + pair.bottom) / 2
    return divide(dx**2 + dy**2, pair.cw**2 + pair.ch**2 + pair.area_eps)


def aspect_term(pair: Pair) -> Tensor:
    """alpha * v: the squared difference of the aspect angles, weighted by a constant alpha."""
    eps = pair.eps.angle_height * pair.unit
    angle = _aspect_angle(pair.target_w, pair.target_h + eps) - _aspect_angle(pair.w, pair.h + eps)
    v = 4 / math.pi**2 * angle**2
    alpha = divide(v, overlap_term(pair) + v + pair.eps.ratio).detach()
    if pair.eps.least_alpha_iou is not None:
        alpha = torch.where(iou(pair) > pair.eps.least_alpha_iou, alpha, 0.0)
    return alpha * v


def sides_term(pair: Pair) -> Tensor:
    """Squared differences of the sides over the squared sides of the enclosing box."""
    dw = pair.w - pair.target_w
    dh = pair.h - pair.target_h
    return divide(dw**2, pair.cw**2 + pair.area_eps) + divide(dh**2, pair.ch**2 + pair.area_eps)


def angle_term(pair: Pair) -> Tensor:
    """The distances of the centres along both axes, which count for less the more the line between them is slanted."""
    dx, dy = ((pair.left + pair.right) / 2).abs(), ((pair.top + pair.bottom) / 2).abs()
    gamma = 2 - divide(2 * dx * dy, dx**2 + dy**2)
    x, y = (divide(d**2, side**2 + pair.area_eps) for d, side in ((dx, pair.cw), (dy, pair.ch)))
    return (2 - torch.exp(-gamma * x) - torch.exp(-gamma * y)) / 2


def shape_term(pair: Pair, theta: float) -> Tensor:
    """The differences of the sides over the longer of the two, each bent by 1 - exp(-x) and to the power of theta."""
    costs = []
    for side, target in ((pair.w, pair.target_w), (pair.h, pair.target_h)):
        longer = torch.maximum(side.abs(), target.abs())
        cost = 1 - torch.exp(-divide((side - target).abs(), longer))
        equal = cost == 0  # the power of a small theta would have an infinite slope there
        costs.append(torch.where(equal, 0.0, torch.where(equal, 1.0, cost) ** open_number(theta, side)))
    return (costs[0] + costs[1]) / 2


def corners_term(pair: Pair) -> Tensor:
    """Mean distance of the corners over the diagonal of the enclosing box."""
    distances = (
        _length(pair.left, pair.top)
        + _length(pair.right, pair.top)
        + _length(pair.right, pair.bottom)
        + _length(pair.left, pair.bottom)
    )
    return divide(distances, 4 * _length(pair.cw, pair.ch))


def place_term(distance: Tensor, target: Tensor, eps: Tensor) -> Tensor:
    """1 - max((target - distance) / (target + distance + eps), 0).

    ``target`` is a side of the target, ``distance`` twice the distance of the centres.
    """
    distance = distance.abs()
    lack = _lack(2 * distance + eps, target + distance + eps)
    return torch.minimum(lack, torch.ones_like(lack))


def side_term(side: Tensor, target: Tensor, eps: Tensor) -> Tensor:
    """1 - min(target / (side + eps), side / (target + eps))"""
    return torch.maximum(_lack(side - target + eps, side + eps), _lack(target - side + eps, target + eps))


def _lack(rest: Tensor, whole: Tensor) -> Tensor:
    """1 - part / whole, given whole - part, so that nothing cancels; part / whole counts as 0 where whole is 0."""
    return torch.where(whole == 0, 1.0, divide(rest, whole))


def _aspect_angle(w: Tensor, h: Tensor) -> Tensor:
    """atan(w / h). At h == 0 it is the limit from h > 0; at w == h == 0 it is 0."""
    # Divides the smaller by the larger: that is finite, and 0 at h == 0.
    wide = w.abs() > h.abs()
    angle = torch.atan(divide(torch.where(wide, h, w), torch.where(wide, w, h)))
    side = torch.where((w < 0) == (h < 0), torch.ones_like(w), -1.0)
    return torch.where(wide, math.pi / 2 * side - angle, angle)


def _at_least(least: Tensor | float, value: Tensor) -> Tensor:
    """The larger of the two; a tie splits the gradient."""
    return torch.maximum(value, least if isinstance(least, Tensor) else as_tensor(least, value.dtype, value.device))


def _length(a: Tensor, b: Tensor) -> Tensor:
    """sqrt(a^2 + b^2), with gradient 0 at the origin."""
    zero = (a == 0) & (b == 0)
    return torch.where(zero, 0.0, torch.hypot(torch.where(zero, 1.0, a), b))


# ------------------------------------------------------------------------------------------------------- formulas

Formula = Callable[[Pair, BoxInputs], Tensor]


def iou_loss(pair: Pair, options: BoxInputs) -> Tensor:
    return overlap_term(pair)


def log_iou_loss(pair: Pair, options: BoxInputs) -> Tensor:
    return log_overlap_term(pair)


def square_iou_loss(pair: Pair, options: BoxInputs) -> Tensor:
    return 1 - iou(pair) ** 2


def giou_loss(pair: Pair, options: BoxInputs) -> Tensor:
    return overlap_term(pair) + enclosing_term(pair)


def diou_loss(pair: Pair, options: BoxInputs) -> Tensor:
    return overlap_term(pair) + centre_term(pair)


def ciou_loss(pair: Pair, options: BoxInputs) -> Tensor:
    return overlap_term(pair) + centre_term(pair) + aspect_term(pair)


def eiou_loss(pair: Pair, options: BoxInputs) -> Tensor:
    return overlap_term(pair) + centre_term(pair) + sides_term(pair)


def siou_loss(pair: Pair, options: BoxInputs) -> Tensor:
    return overlap_term(pair) + angle_term(pair) + shape_term(pair, options.theta)


def focal_eiou_loss(pair: Pair, options: BoxInputs) -> Tensor:
    return iou(pair).detach() ** open_number(options.gamma, pair.w) * eiou_loss(pair, options)


def cdiou_loss(base: Formula) -> Formula:
    return lambda pair, options: base(pair, options) + options.lambda_ * corners_term(pair)


def bounded_iou_loss(pair: Pair, options: BoxInputs) -> Tensor:
    terms = (
        place_term(pair.left + pair.right, pair.target_w, pair.length_eps),
        place_term(pair.top + pair.bottom, pair.target_h, pair.length_eps),
        side_term(pair.w, pair.target_w, pair.length_eps),
        side_term(pair.h, pair.target_h, pair.length_eps),
    )
    return torch.stack([smooth_l1(term, options.beta) for term in terms]).sum(0)


FORMULAS: dict[str, Formula] = {
    "iou": iou_loss,
    "log_iou": log_iou_loss,
    "square_iou": square_iou_loss,
    "giou": giou_loss,
    "diou": diou_loss,
    "ciou": ciou_loss,
    "eiou": eiou_loss,
    "siou": siou_loss,
    "focal_eiou": focal_eiou_loss,
    "cdiou_iou": cdiou_loss(iou_loss),
    "cdiou_log_iou": cdiou_loss(log_iou_loss),
    "cdiou_giou": cdiou_loss(giou_loss),
    "cdiou_diou": cdiou_loss(diou_loss),
    "cdiou_ciou": cdiou_loss(ciou_loss),
    "bounded_iou": bounded_iou_loss,
}


def _evaluate(pair: Pair, inputs: BoxInputs, formula: str) -> Tensor:
    loss = FORMULAS[formula](pair, inputs)
    return loss.clamp(0.0, 2.0) if pair.eps.bounded else loss


# ------------------------------------------------------------------------------------------------------- geometry


def _corners(boxes: tuple[Tensor, ...], fmt: str) -> tuple[Tensor, ...]:
    """x1, y1, x2, y2 of boxes given as ``fmt``."""
    x, y, w, h = boxes
    if fmt == "xywh":
        return x, y, x + w, y + h
    if fmt == "cxcywh":
        return x - w / 2, y - h / 2, x + w / 2, y + h / 2
    return boxes


def _hull_sides(pred: tuple[Tensor, ...], target: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Sides of the enclosing box."""
    (x1, y1, x2, y2), (tx1, ty1, tx2, ty2) = pred, target
    cw = torch.maximum(x2, tx2) - torch.minimum(x1, tx1)
    ch = torch.maximum(y2, ty2) - torch.minimum(y1, ty1)
    return cw, ch


def _scale(boxes: Tensor, fmt: str) -> Tensor:
    """The factor that scales a pair: 1, or a small power of two where its areas could overflow."""
    # A box loss does not depend on the unit of length. The extent is measured in a unit in which no box overflows. A
    # box is shrunk only as far as it must be, because small lengths could be lost otherwise.
    limit, unit, exponent = (2.0**450, 2.0**-700, 500) if boxes.dtype == torch.float64 else (2.0**50, 2.0**-80, 60)
    columns = (boxes.detach() * unit).unbind(-1)
    pred, target = _corners(columns[:4], fmt), _corners(columns[4:], fmt)
    sides = [box[2] - box[0] for box in (pred, target)] + [box[3] - box[1] for box in (pred, target)]
    extent = torch.stack([*sides, *_hull_sides(pred, target)]).abs().sum(0)
    shrink = torch.exp2(exponent - torch.floor(torch.log2(extent))) * unit
    return torch.where(extent < limit * unit, torch.ones_like(extent), shrink)


def _measure(boxes: Tensor, fmt: str, eps: Placement) -> Pair:
    """The geometry of pairs [..., 8], each a prediction and a target in the format ``fmt``."""
    scale = _scale(boxes, fmt)
    columns = (boxes * scale[..., None]).unbind(-1)
    pred, target = columns[:4], columns[4:]
    if fmt != "xyxy":
        # With the target's corner or centre as the origin, corners are as precise as the sides, wherever the boxes lie.
        origin = torch.zeros_like(target[0])
        pred = (pred[0] - target[0], pred[1] - target[1], *pred[2:])
        target = (origin, origin, *target[2:])
    sizes = *pred[2:], *target[2:]
    pred, target = _corners(pred, fmt), _corners(target, fmt)
    (x1, y1, x2, y2), (tx1, ty1, tx2, ty2) = pred, target
    # Given sizes are used directly: a detour through corners far from the origin would round them.
    w, h, target_w, target_h = (x2 - x1, y2 - y1, tx2 - tx1, ty2 - ty1) if fmt == "xyxy" else sizes
    if eps.height:
        h, target_h = h + eps.height * scale, target_h + eps.height * scale
    iw = torch.minimum(x2, tx2) - torch.maximum(x1, tx1)
    ih = torch.minimum(y2, ty2) - torch.maximum(y1, ty1)
    cw, ch = _hull_sides(pred, target)
    inter = torch.where((iw > 0) & (ih > 0), iw * ih, 0.0)
    union, hull, area_eps = w * h + target_w * target_h - inter, cw * ch, eps.area * scale * scale
    if eps.raised:
        union, hull, area_eps = _at_least(area_eps, union), _at_least(area_eps, hull), torch.zeros_like(area_eps)
    return Pair(
        *(w, h, target_w, target_h),
        *(inter, union, hull),
        *(cw, ch),
        *(x1 - tx1, y1 - ty1, x2 - tx2, y2 - ty2),
        unit=scale,
        eps=eps,
        area_eps=area_eps,
        length_eps=eps.length * scale,
    )


def box_loss(inputs: BoxInputs) -> Tensor:
    """The operator behind every box loss; ``iouloss.functional.box_loss`` documents it."""
    check_box_loss(inputs)
    mask, avg_factor = kept_boxes(inputs)
    pred, target, weight, _, _, formula, fmt, eps, reduction, *_ = inputs
    if formula.endswith("_swapped"):
        pred, target, formula = target, pred, formula.removesuffix("_swapped")
    dtype = compute_dtype(pred, target)
    both = torch.cat((pred.to(dtype), target.to(dtype)), -1)
    if mask is not None:
        both = torch.where(mask[..., None], both, 0.0)
        weight = None if weight is None else torch.where(mask, weight, 0.0)
    placement = place(inputs.eps_mode, formula, fmt, eps)
    loss = finite_losses(lambda boxes: _evaluate(_measure(boxes, fmt, placement), inputs, formula), both)
    return reduce_loss(loss if mask is None else torch.where(mask, loss, 0.0), weight, avg_factor, reduction)


def kept_boxes(inputs: BoxInputs) -> tuple[Tensor | None, Tensor | float | None]:
    """``mask`` as booleans; and the divisor of the mean: ``avg_factor``, or else the number of boxes that count."""
    pred, mask, avg_factor = inputs.pred, inputs.mask, inputs.avg_factor
    if mask is None:
        return None, avg_factor
    if mask.dtype != torch.bool:
        boxes = pred.shape[:-1].numel()
        # One more element after the last box takes the indices that are not boxes.
        inside = (mask >= 0) & (mask < boxes)
        marks = torch.zeros(boxes + 1, dtype=torch.bool, device=mask.device)
        mask = marks.index_fill(0, torch.where(inside, mask, boxes), True)[:boxes].reshape(pred.shape[:-1])
    if avg_factor is None and inputs.reduction == "mean":
        avg_factor = mask.sum()
    return mask, avg_factor
