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
from .rows import (
    CrossEntropyLoss,
    DistributionFocalLoss,
    EntropyLoss,
    KLDivLoss,
    SoftmaxFocalLoss,
)

__all__ = [
    "BoxLoss",
    "CDIoULoss",
    "CIoULoss",
    "CrossEntropyLoss",
    "DIoULoss",
    "DistributionFocalLoss",
    "EIoULoss",
    "EntropyLoss",
    "FocalEIoULoss",
    "GIoULoss",
    "IoULoss",
    "KLDivLoss",
    "SigmoidFocalLoss",
    "SoftmaxFocalLoss",
]
