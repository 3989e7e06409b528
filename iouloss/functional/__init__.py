"""One function per loss."""

from .boxes import (
    box_loss,
    cdiou_loss,
    ciou_loss,
    diou_loss,
    eiou_loss,
    focal_eiou_loss,
    giou_loss,
    iou_loss,
)
from .entropy import (
    asymmetric_loss,
    binary_cross_entropy_loss,
    binary_entropy_loss,
)
from .logits import (
    equalized_focal_loss,
    focal_star_loss,
    gaussian_focal_loss,
    poly1_focal_loss,
    quality_focal_loss,
    sigmoid_focal_loss,
    varifocal_loss,
)
from .regression import (
    balanced_l1_loss,
    focal_l1_loss,
    huber_loss,
    l1_loss,
    l2_loss,
    smooth_l1_loss,
)

__all__ = [
    "asymmetric_loss",
    "balanced_l1_loss",
    "binary_cross_entropy_loss",
    "binary_entropy_loss",
    "box_loss",
    "cdiou_loss",
    "ciou_loss",
    "diou_loss",
    "eiou_loss",
    "equalized_focal_loss",
    "focal_eiou_loss",
    "focal_l1_loss",
    "focal_star_loss",
    "gaussian_focal_loss",
    "giou_loss",
    "huber_loss",
    "iou_loss",
    "l1_loss",
    "l2_loss",
    "poly1_focal_loss",
    "quality_focal_loss",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
    "varifocal_loss",
]
