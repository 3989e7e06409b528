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
from .logits import sigmoid_focal_loss
from .rows import (
    cross_entropy_loss,
    distribution_focal_loss,
    entropy_loss,
    kl_div_loss,
    softmax_focal_loss,
)

__all__ = [
    "box_loss",
    "cdiou_loss",
    "ciou_loss",
    "cross_entropy_loss",
    "diou_loss",
    "distribution_focal_loss",
    "eiou_loss",
    "entropy_loss",
    "focal_eiou_loss",
    "giou_loss",
    "iou_loss",
    "kl_div_loss",
    "sigmoid_focal_loss",
    "softmax_focal_loss",
]
