"""The losses of paired boxes. ``box_loss`` (by_kind.py) documents what they share."""

from torch import Tensor

from .. import _ops
from .._inputs import box_inputs
from ..checks.numbers import check_choice

__all__ = [
    "bounded_iou_loss",
    "cdiou_loss",
    "ciou_loss",
    "diou_loss",
    "eiou_loss",
    "focal_eiou_loss",
    "giou_loss",
    "iou_loss",
    "siou_loss",
]

_MODES = {"linear": "iou", "log": "log_iou", "square": "square_iou"}
_BASES = ("iou", "log_iou", "giou", "diou", "ciou")


def iou_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    mode: str = "linear",
    mask: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    fmt: str = "xyxy",
    eps: float = 1e-7,
    eps_mode: str = "torchvision",
) -> Tensor:
    """IoU loss of paired boxes; ``IoU = intersection / (union + eps)``.

    ========== ========================= ===============
    ``mode``   loss                      range
    ========== ========================= ===============
    ``linear`` ``1 - IoU``               [0, 1]
    ``log``    ``-ln(max(IoU, eps))``    [0, -ln(eps)]
    ``square`` ``1 - IoU**2``            [0, 1]
    ========== ========================= ===============

    The gradient is 0 between boxes that do not intersect; in mode ``"log"``, wherever ``IoU <= eps``. With
    ``eps=0``, mode ``"log"`` gives the largest finite number there.

    The common arguments, the errors and the treatment of degenerate boxes are those of :func:`box_loss`.

    Paper: Yu et al., *UnitBox: An Advanced Object Detection Network*, arXiv:1608.01471 (mode ``"log"``).
    """
    if not isinstance(mode, str) or mode not in _MODES:
        check_choice("mode", mode, _MODES)
    inputs = box_inputs(pred, target, weight, mask, avg_factor, _MODES[mode], fmt, eps, reduction, eps_mode=eps_mode)
    return _ops.box_loss(inputs)


def giou_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    fmt: str = "xyxy",
    eps: float = 1e-7,
    eps_mode: str = "torchvision",
) -> Tensor:
    """Generalised IoU loss of paired boxes: ``1 - IoU + (C - U) / (C + eps)``.

    ``C`` is the area of the enclosing box and ``U`` that of the union. Range [0, 2). If one box contains the other,
    ``C == U`` and only the IoU has a gradient; between boxes apart only the second term has.

    The common arguments, the errors and the treatment of degenerate boxes are those of :func:`box_loss`.

    Paper: Rezatofighi et al., *Generalized Intersection over Union*, arXiv:1902.09630.
    """
    inputs = box_inputs(pred, target, weight, mask, avg_factor, "giou", fmt, eps, reduction, eps_mode=eps_mode)
    return _ops.box_loss(inputs)


def diou_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    fmt: str = "xyxy",
    eps: float = 1e-7,
    eps_mode: str = "torchvision",
) -> Tensor:
    """Distance-IoU loss of paired boxes: ``1 - IoU + d**2 / (c**2 + eps)``.

    ``d`` is the distance of the centres and ``c`` the diagonal of the enclosing box. Range [0, 2). ``eps`` stands
    beside a squared length: boxes much smaller than 1 (normalised coordinates) want a smaller ``eps``.

    The common arguments, the errors and the treatment of degenerate boxes are those of :func:`box_loss`.

    Paper: Zheng et al., *Distance-IoU Loss*, arXiv:1911.08287.
    """
    inputs = box_inputs(pred, target, weight, mask, avg_factor, "diou", fmt, eps, reduction, eps_mode=eps_mode)
    return _ops.box_loss(inputs)


def ciou_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    fmt: str = "xyxy",
    eps: float = 1e-7,
    eps_mode: str = "torchvision",
) -> Tensor:
    """Complete-IoU loss of paired boxes: ``1 - IoU + d**2 / (c**2 + eps) + alpha * v``.

    ``v = 4 / pi**2 * (atan(W / H) - atan(w / h))**2`` compares the aspect ratios of the target (W, H) and of the
    prediction (w, h); ``alpha = v / (1 - IoU + v + eps)`` is a constant to the gradient. ``d`` and ``c`` are those
    of :func:`diou_loss`. Range [0, 2.5).

    At ``h == 0`` the angle is its limit from above, ``sign(w) * pi / 2``, with the gradient of that limit; at
    ``w == h == 0`` the angle and its gradient are 0.

    The common arguments, the errors and the treatment of degenerate boxes are those of :func:`box_loss`.

    Paper: Zheng et al., *Distance-IoU Loss*, arXiv:1911.08287, and *Enhancing Geometric Factors*, arXiv:2005.03572.
    """
    inputs = box_inputs(pred, target, weight, mask, avg_factor, "ciou", fmt, eps, reduction, eps_mode=eps_mode)
    return _ops.box_loss(inputs)


def eiou_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    mask: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    fmt: str = "xyxy",
    eps: float = 1e-7,
    eps_mode: str = "torchvision",
) -> Tensor:
    """Efficient-IoU loss of paired boxes: DIoU's, and the differences of the sides.

    ``1 - IoU + d**2 / (c**2 + eps) + (w - W)**2 / (cw**2 + eps) + (h - H)**2 / (ch**2 + eps)``, with ``cw`` and
    ``ch`` the sides of the enclosing box and ``d`` and ``c`` those of :func:`diou_loss`. Range [0, 4).

    The common arguments, the errors and the treatment of degenerate boxes are those of :func:`box_loss`.

    Paper: Zhang et al., *Focal and Efficient IOU Loss*, arXiv:2101.08158.
    """
    inputs = box_inputs(pred, target, weight, mask, avg_factor, "eiou", fmt, eps, reduction, eps_mode=eps_mode)
    return _ops.box_loss(inputs)


def siou_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    theta: float = 4.0,
    mask: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    fmt: str = "xyxy",
    eps: float = 1e-7,
    eps_mode: str = "torchvision",
) -> Tensor:
    """SCYLLA-IoU loss of paired boxes: ``1 - IoU + (D + S) / 2`` with the distance ``D`` and the shape ``S``.

    - ``D = 2 - exp(-g * dx**2 / (cw**2 + eps)) - exp(-g * dy**2 / (ch**2 + eps))`` of the distances ``dx`` and ``dy``
      of the centres, with ``g = 2 - 2 * |dx * dy| / (dx**2 + dy**2)``, which is 2 on an axis and 1 on a diagonal
    - ``S = (1 - exp(-|w - W| / max(w, W)))**theta``, and the same of ``h`` and ``H``

    ``cw`` and ``ch`` are the sides of the enclosing box. ``theta`` is a number > 0; the paper has 2 to 6. Range
    [0, 2.1) for ``theta`` >= 2. At ``dx == 0`` and at ``dy == 0`` the angle has no gradient; at ``w == W`` the shape
    has none. Of inverted boxes, ``max(w, W)`` is that of the absolute values.

    The common arguments, the errors and the treatment of degenerate boxes are those of :func:`box_loss`.

    Paper: Gevorgyan, *SIoU Loss: More Powerful Learning for Bounding Box Regression*, arXiv:2205.12740.
    """
    inputs = box_inputs(
        pred, target, weight, mask, avg_factor, "siou", fmt, eps, reduction, theta=theta, eps_mode=eps_mode
    )
    return _ops.box_loss(inputs)


def focal_eiou_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    gamma: float = 0.5,
    mask: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    fmt: str = "xyxy",
    eps: float = 1e-7,
    eps_mode: str = "torchvision",
) -> Tensor:
    """Focal Efficient-IoU loss of paired boxes: ``IoU**gamma`` times the loss of :func:`eiou_loss`.

    The factor is a constant to the gradient. It is 0 between boxes that do not intersect (1 if ``gamma == 0``), so
    that these have neither loss nor gradient. ``gamma`` is a number >= 0.

    The common arguments, the errors and the treatment of degenerate boxes are those of :func:`box_loss`.

    Paper: Zhang et al., *Focal and Efficient IOU Loss*, arXiv:2101.08158.
    """
    inputs = box_inputs(
        pred, target, weight, mask, avg_factor, "focal_eiou", fmt, eps, reduction, gamma=gamma, eps_mode=eps_mode
    )
    return _ops.box_loss(inputs)


def cdiou_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    base: str = "giou",
    lambda_: float = 1.0,
    mask: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    fmt: str = "xyxy",
    eps: float = 1e-7,
    eps_mode: str = "torchvision",
) -> Tensor:
    """Control-distance IoU loss of paired boxes: ``base + lambda_ * S / (4 * c)``.

    ``base`` is the loss that the distance is added to: ``"iou"``, ``"log_iou"``, ``"giou"``, ``"diou"`` or
    ``"ciou"``. ``S`` is the sum of the distances between corresponding corners, ``c`` the diagonal of the enclosing
    box (without ``eps``): the added term is in [0, 1).

    The distance of two corners is a cone: its gradient does not fade near the optimum, and is 0 where they
    coincide. Where ``c == 0`` the term is 0.

    The common arguments, the errors and the treatment of degenerate boxes are those of :func:`box_loss`.

    Paper: Chen and Miao, *Control Distance IoU and Control Distance IoU Loss Function*, arXiv:2103.11696.
    """
    if not isinstance(base, str) or base not in _BASES:
        check_choice("base", base, _BASES)
    inputs = box_inputs(
        pred,
        target,
        weight,
        mask,
        avg_factor,
        "cdiou_" + base,
        fmt,
        eps,
        reduction,
        lambda_=lambda_,
        eps_mode=eps_mode,
    )
    return _ops.box_loss(inputs)


def bounded_iou_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    beta: float = 0.2,
    mask: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    fmt: str = "xyxy",
    eps: float = 1e-3,
) -> Tensor:
    """Bounded IoU loss of paired boxes: how far each of a box's four numbers alone keeps the IoU from 1.

    The sum of ``smooth_l1`` of four numbers, in which ``dx`` and ``dy`` are the distances of the centres, ``w`` and
    ``h`` the sides of the prediction, ``W`` and ``H`` those of the target:

    - ``1 - max((W - 2 * |dx|) / (W + 2 * |dx| + eps), 0)``, and the same of ``H`` and ``dy``
    - ``1 - min(W / (w + eps), w / (W + eps))``, and the same of ``H`` and ``h``

    ``smooth_l1(l)`` is ``l**2 / (2 * beta)`` where ``l < beta``, else ``l - beta / 2``. ``beta`` is a number > 0.
    Range [0, 4 - 2 * beta], or [0, 2 / beta] with ``beta > 1``, of boxes that are not inverted.

    ``eps`` is a length here: boxes with sides of about 1 (normalised coordinates) want a smaller one. It stands in the
    denominators alone, so that equal boxes have a small loss above 0, and a small gradient, unless ``eps`` is 0. At
    ``dx == 0`` there is no gradient by ``dx``; where ``W == 2 * |dx|``, or the two quotients of a side are equal, each
    side of the kink counts half.

    mmdetection's ``bounded_iou_loss`` gives the four numbers of each box. So its plain mean is a quarter of this one;
    its sum, and its mean with an ``avg_factor``, are these. It holds the target constant, which here has its gradient
    like that of the other losses, though this one is not symmetric in the two boxes.

    The common arguments, the errors and the treatment of degenerate boxes are those of :func:`box_loss`.

    Paper: Tychsen-Smith and Petersson, *Improving Object Localization with Fitness NMS and Bounded IoU Loss*,
    arXiv:1711.00164.
    """
    inputs = box_inputs(pred, target, weight, mask, avg_factor, "bounded_iou", fmt, eps, reduction, beta=beta)
    return _ops.box_loss(inputs)
