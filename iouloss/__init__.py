"""Fused losses for object detectors."""

from . import functional
from ._backend import backend_info, extension
from .functional import (
    box_loss,
    cdiou_loss,
    ciou_loss,
    dice_loss,
    diou_loss,
    eiou_loss,
    focal_eiou_loss,
    focal_tversky_loss,
    generalized_dice_loss,
    giou_loss,
    iou_loss,
    sigmoid_focal_loss,
    tversky_loss,
)
from .modules import (
    BoxLoss,
    CDIoULoss,
    CIoULoss,
    DiceLoss,
    DIoULoss,
    EIoULoss,
    FocalEIoULoss,
    FocalTverskyLoss,
    GeneralizedDiceLoss,
    GIoULoss,
    IoULoss,
    SigmoidFocalLoss,
    TverskyLoss,
)

if extension is not None:
    from . import _double_backward  # noqa: F401

__version__ = "0.1.0"

__all__ = [
    "BoxLoss",
    "CDIoULoss",
    "CIoULoss",
    "DIoULoss",
    "DiceLoss",
    "EIoULoss",
    "FocalEIoULoss",
    "FocalTverskyLoss",
    "GIoULoss",
    "GeneralizedDiceLoss",
    "IoULoss",
    "SigmoidFocalLoss",
    "TverskyLoss",
    "backend_info",
    "box_loss",
    "cdiou_loss",
    "ciou_loss",
    "dice_loss",
    "diou_loss",
    "eiou_loss",
    "focal_eiou_loss",
    "focal_tversky_loss",
    "functional",
    "generalized_dice_loss",
    "giou_loss",
    "iou_loss",
    "sigmoid_focal_loss",
    "tversky_loss",
]
