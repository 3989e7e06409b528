"""Fused losses for object detectors."""

from . import functional
from ._backend import backend_info, extension
from .functional import (
    box_loss,
    cdiou_loss,
    ciou_loss,
    cross_entropy_loss,
    diou_loss,
    distribution_focal_loss,
    eiou_loss,
    entropy_loss,
    focal_eiou_loss,
    giou_loss,
    iou_loss,
    kl_div_loss,
    sigmoid_focal_loss,
    softmax_focal_loss,
)
from .modules import (
    BoxLoss,
    CDIoULoss,
    CIoULoss,
    CrossEntropyLoss,
    DIoULoss,
    DistributionFocalLoss,
    EIoULoss,
    EntropyLoss,
    FocalEIoULoss,
    GIoULoss,
    IoULoss,
    KLDivLoss,
    SigmoidFocalLoss,
    SoftmaxFocalLoss,
)

if extension is not None:
    from . import _double_backward  # noqa: F401

__version__ = "0.1.0"

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
    "backend_info",
    "box_loss",
    "cdiou_loss",
    "ciou_loss",
    "cross_entropy_loss",
    "diou_loss",
    "distribution_focal_loss",
    "eiou_loss",
    "entropy_loss",
    "focal_eiou_loss",
    "functional",
    "giou_loss",
    "iou_loss",
    "kl_div_loss",
    "sigmoid_focal_loss",
    "softmax_focal_loss",
]
