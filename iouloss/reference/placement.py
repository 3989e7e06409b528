"""Where eps stands in the box losses of the libraries that people come from."""

from typing import NamedTuple

# The losses that a library has; None for all: torchvision's way of placing eps is defined for every loss of areas.
EPS_MODES: dict[str, tuple[str, ...] | None] = {
    "torchvision": None,
    "torchvision_exact": None,
    "mmdet": ("iou", "log_iou", "square_iou", "giou", "diou", "ciou"),
    "mmyolo": ("iou", "giou", "ciou"),
    "ultralytics": ("iou", "giou", "diou", "ciou"),
}

# The losses that know no areas, and one place of eps, which is the default.
ONE_PLACE = ("bounded_iou", "bounded_iou_swapped")

_TORCHVISION_EPS = 1e-7  # of its diou_loss, to which its ciou_loss does not pass its own
_MMDET_UNION_EPS = 1e-6  # of its bbox_overlaps, to which its iou_loss does not pass its own


class Placement(NamedTuple):
    """The numbers that stand where one library or another has an eps."""

    area: float  # beside areas and squared lengths
    ratio: float  # beside alpha; the least argument of a logarithm
    length: float  # beside lengths
    raised: bool = False  # areas are raised to it, instead of it being added to them
    least_iou: float = 0.0
    height: float = 0.0  # added to the heights of the boxes
    angle_height: float = 0.0  # added to the heights, but in the aspect angles only
    least_alpha_iou: float | None = None  # up to this IoU alpha is 0
    bounded: bool = False  # losses end at 0 and at 2


def place(eps_mode: str, formula: str, fmt: str, eps: float) -> Placement:
    """A library's placement of ``eps`` in a loss."""
    everywhere = Placement(area=eps, ratio=eps, length=eps)
    if eps_mode == "torchvision_exact" and formula == "ciou":
        return everywhere._replace(area=_TORCHVISION_EPS)
    if eps_mode == "mmdet" and formula in ("iou", "log_iou", "square_iou"):
        return everywhere._replace(area=_MMDET_UNION_EPS, raised=True, least_iou=eps)
    if eps_mode == "mmdet" and formula == "giou":
        return everywhere._replace(raised=True)
    if eps_mode == "mmdet" and formula == "ciou":
        return everywhere._replace(ratio=0.0, angle_height=eps, least_alpha_iou=0.5, bounded=True)
    if eps_mode == "mmyolo":
        return everywhere._replace(angle_height=eps, bounded=True)
    if eps_mode == "ultralytics" and fmt == "xyxy":
        return everywhere._replace(height=eps)
    return everywhere
