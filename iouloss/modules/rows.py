"""The losses on rows of logits as modules."""

from torch import Tensor

from .. import functional
from .base import Loss, OfLogits


class SoftmaxFocalLoss(OfLogits):
    """:func:`iouloss.functional.softmax_focal_loss` as a module."""

    function = staticmethod(functional.softmax_focal_loss)


class CrossEntropyLoss(OfLogits):
    """:func:`iouloss.functional.cross_entropy_loss` as a module."""

    function = staticmethod(functional.cross_entropy_loss)


class DistributionFocalLoss(OfLogits):
    """:func:`iouloss.functional.distribution_focal_loss` as a module."""

    function = staticmethod(functional.distribution_focal_loss)


class KLDivLoss(OfLogits):
    """:func:`iouloss.functional.kl_div_loss` as a module."""

    function = staticmethod(functional.kl_div_loss)


class EntropyLoss(Loss):
    """:func:`iouloss.functional.entropy_loss` as a module."""

    function = staticmethod(functional.entropy_loss)
    tensors = OfLogits.tensors

    def forward(self, logits: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None) -> Tensor:
        return type(self).function(logits, weight=weight, avg_factor=avg_factor, **self._options())
