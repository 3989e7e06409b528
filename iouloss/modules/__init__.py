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
from .logits import (
    AsymmetricLoss,
    BinaryCrossEntropyLoss,
    BinaryEntropyLoss,
    EqualizedFocalLoss,
    FocalStarLoss,
    GaussianFocalLoss,
    Poly1FocalLoss,
    QualityFocalLoss,
    SigmoidFocalLoss,
    VarifocalLoss,
)
from .regression import (
    BalancedL1Loss,
    FocalL1Loss,
    HuberLoss,
    L1Loss,
    L2Loss,
    SmoothL1Loss,
)

__all__ = [
    "AsymmetricLoss",
    "BalancedL1Loss",
    "BinaryCrossEntropyLoss",
    "BinaryEntropyLoss",
    "BoxLoss",
    "CDIoULoss",
    "CIoULoss",
    "DIoULoss",
    "EIoULoss",
    "EqualizedFocalLoss",
    "FocalEIoULoss",
    "FocalL1Loss",
    "FocalStarLoss",
    "GIoULoss",
    "GaussianFocalLoss",
    "HuberLoss",
    "IoULoss",
    "L1Loss",
    "L2Loss",
    "Poly1FocalLoss",
    "QualityFocalLoss",
    "SigmoidFocalLoss",
    "SmoothL1Loss",
    "VarifocalLoss",
]
