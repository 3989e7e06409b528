"""A module per loss: it holds the options of its function, ``forward`` takes the tensors.

``iouloss.functional`` documents both. What type checkers and editors read is ``__init__.pyi``, which
``python -m tools.module_stub`` writes.
"""

from .. import functional
from .base import Loss

__all__ = [
    "AsymmetricLoss",
    "BalancedL1Loss",
    "BinaryCrossEntropyLoss",
    "BinaryEntropyLoss",
    "BoundedIoULoss",
    "BoxLoss",
    "CDIoULoss",
    "CIoULoss",
    "CrossEntropyLoss",
    "DIoULoss",
    "DiceLoss",
    "DistributionFocalLoss",
    "EIoULoss",
    "EntropyLoss",
    "EqualizedFocalLoss",
    "FocalEIoULoss",
    "FocalL1Loss",
    "FocalStarLoss",
    "FocalTverskyLoss",
    "GIoULoss",
    "GaussianFocalLoss",
    "GeneralizedDiceLoss",
    "HuberLoss",
    "IoULoss",
    "KLDivLoss",
    "L1Loss",
    "L2Loss",
    "Poly1FocalLoss",
    "QualityFocalLoss",
    "SigmoidFocalLoss",
    "SmoothL1Loss",
    "SoftmaxFocalLoss",
    "TverskyLoss",
    "VarifocalLoss",
]


class IoULoss(Loss, function=functional.iou_loss): ...


class GIoULoss(Loss, function=functional.giou_loss): ...


class DIoULoss(Loss, function=functional.diou_loss): ...


class CIoULoss(Loss, function=functional.ciou_loss): ...


class EIoULoss(Loss, function=functional.eiou_loss): ...


class FocalEIoULoss(Loss, function=functional.focal_eiou_loss): ...


class CDIoULoss(Loss, function=functional.cdiou_loss): ...


class BoundedIoULoss(Loss, function=functional.bounded_iou_loss): ...


class BoxLoss(Loss, function=functional.box_loss): ...


class SigmoidFocalLoss(Loss, function=functional.sigmoid_focal_loss): ...


class FocalStarLoss(Loss, function=functional.focal_star_loss): ...


class Poly1FocalLoss(Loss, function=functional.poly1_focal_loss): ...


class EqualizedFocalLoss(Loss, function=functional.equalized_focal_loss): ...


class QualityFocalLoss(Loss, function=functional.quality_focal_loss): ...


class VarifocalLoss(Loss, function=functional.varifocal_loss): ...


class GaussianFocalLoss(Loss, function=functional.gaussian_focal_loss): ...


class AsymmetricLoss(Loss, function=functional.asymmetric_loss): ...


class BinaryCrossEntropyLoss(Loss, function=functional.binary_cross_entropy_loss): ...


class BinaryEntropyLoss(Loss, function=functional.binary_entropy_loss): ...


class L1Loss(Loss, function=functional.l1_loss): ...


class L2Loss(Loss, function=functional.l2_loss): ...


class SmoothL1Loss(Loss, function=functional.smooth_l1_loss): ...


class HuberLoss(Loss, function=functional.huber_loss): ...


class BalancedL1Loss(Loss, function=functional.balanced_l1_loss): ...


class FocalL1Loss(Loss, function=functional.focal_l1_loss): ...


class SoftmaxFocalLoss(Loss, function=functional.softmax_focal_loss): ...


class CrossEntropyLoss(Loss, function=functional.cross_entropy_loss): ...


class DistributionFocalLoss(Loss, function=functional.distribution_focal_loss): ...


class KLDivLoss(Loss, function=functional.kl_div_loss): ...


class EntropyLoss(Loss, function=functional.entropy_loss): ...


class DiceLoss(Loss, function=functional.dice_loss): ...


class GeneralizedDiceLoss(Loss, function=functional.generalized_dice_loss): ...


class TverskyLoss(Loss, function=functional.tversky_loss): ...


class FocalTverskyLoss(Loss, function=functional.focal_tversky_loss): ...
