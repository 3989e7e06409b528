"""One function per loss."""

from .boxes import (
    bounded_iou_loss,
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
from .regions import (
    dice_loss,
    focal_tversky_loss,
    generalized_dice_loss,
    tversky_loss,
)
from .regression import (
    balanced_l1_loss,
    focal_l1_loss,
    huber_loss,
    l1_loss,
    l2_loss,
    smooth_l1_loss,
)
from .rows import (
    cross_entropy_loss,
    distribution_focal_loss,
    entropy_loss,
    kl_div_loss,
    softmax_focal_loss,
)

__all__ = [
    "asymmetric_loss",
    "balanced_l1_loss",
    "binary_cross_entropy_loss",
    "binary_entropy_loss",
    "bounded_iou_loss",
    "box_loss",
    "cdiou_loss",
    "ciou_loss",
    "cross_entropy_loss",
    "dice_loss",
    "diou_loss",
    "distribution_focal_loss",
    "eiou_loss",
    "entropy_loss",
    "equalized_focal_loss",
    "focal_eiou_loss",
    "focal_l1_loss",
    "focal_star_loss",
    "focal_tversky_loss",
    "gaussian_focal_loss",
    "generalized_dice_loss",
    "giou_loss",
    "huber_loss",
    "iou_loss",
    "kl_div_loss",
    "l1_loss",
    "l2_loss",
    "poly1_focal_loss",
    "quality_focal_loss",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
    "softmax_focal_loss",
    "tversky_loss",
    "varifocal_loss",
]
