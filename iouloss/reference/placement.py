"""Where the box losses of other libraries add eps."""

from typing import NamedTuple

_TORCHVISION_EPS = 1e-7  # the default of its diou_loss: its ciou_loss does not pass on its own eps
_MMDET_UNION_EPS = 1e-6  # the default of its bbox_overlaps: its iou_loss does not pass on its own eps


class Placement(NamedTuple):
    """The numbers that a library adds, or compares with, in the places where it has an eps."""

    area: float  # added to areas and squared lengths
    ratio: float  # added to the denominator of alpha; also the least argument of a logarithm
    length: float  # added to lengths
    raised: bool = False  # areas are raised to at least this eps, instead of it being added
    least_iou: float = 0.0
    height: float = 0.0  # added to the heights of the boxes
    angle_height: float = 0.0  # added to the heights, but only for the aspect angles
    least_alpha_iou: float | None = None  # alpha is 0 up to this IoU
    bounded: bool = False  # losses are clamped to [0, 2]


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
