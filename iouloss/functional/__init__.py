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
from .regions import dice_loss, focal_tversky_loss, generalized_dice_loss, tversky_loss

__all__ = [
    "box_loss",
    "cdiou_loss",
    "ciou_loss",
    "dice_loss",
    "diou_loss",
    "eiou_loss",
    "focal_eiou_loss",
    "focal_tversky_loss",
    "generalized_dice_loss",
    "giou_loss",
    "iou_loss",
    "sigmoid_focal_loss",
    "tversky_loss",
]
