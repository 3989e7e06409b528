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

__all__ = [
    "box_loss",
    "cdiou_loss",
    "ciou_loss",
    "diou_loss",
    "eiou_loss",
    "focal_eiou_loss",
    "giou_loss",
    "iou_loss",
    "sigmoid_focal_loss",
]
