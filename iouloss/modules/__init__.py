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

__all__ = [
    "BoxLoss",
    "CDIoULoss",
    "CIoULoss",
    "DIoULoss",
    "EIoULoss",
    "FocalEIoULoss",
    "GIoULoss",
    "IoULoss",
    "SigmoidFocalLoss",
]
