"""A module per loss: it holds the options, ``forward`` takes the tensors. ``iouloss.functional`` documents both."""

from .boxes import (
    BoxLoss,
    CDIoULoss,
    CIoULoss,
    DIoULoss,
    EIoULoss,
    FocalEIoULoss,
    GIoULoss,
    IoULoss,
)
from .logits import SigmoidFocalLoss
from .regions import DiceLoss, FocalTverskyLoss, GeneralizedDiceLoss, TverskyLoss

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
]
