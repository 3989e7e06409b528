"""The losses on rows of logits as modules."""

from torch import Tensor

from .. import functional
from .base import Loss


class _OfRows(Loss):
    tensors = frozenset(("logits", "targets", "weight", "avg_factor"))

    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
    ) -> Tensor:
        return type(self).function(logits, targets, weight=weight, avg_factor=avg_factor, **self._options())


class SoftmaxFocalLoss(_OfRows):
    """:func:`iouloss.functional.softmax_focal_loss` as a module."""

    function = staticmethod(functional.softmax_focal_loss)


class CrossEntropyLoss(_OfRows):
    """:func:`iouloss.functional.cross_entropy_loss` as a module."""

    function = staticmethod(functional.cross_entropy_loss)


class DistributionFocalLoss(_OfRows):
    """:func:`iouloss.functional.distribution_focal_loss` as a module."""

    function = staticmethod(functional.distribution_focal_loss)


class KLDivLoss(_OfRows):
    """:func:`iouloss.functional.kl_div_loss` as a module."""

    function = staticmethod(functional.kl_div_loss)


class EntropyLoss(Loss):
    """:func:`iouloss.functional.entropy_loss` as a module."""

    function = staticmethod(functional.entropy_loss)
    tensors = _OfRows.tensors

    def forward(self, logits: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None) -> Tensor:
        return type(self).function(logits, weight=weight, avg_factor=avg_factor, **self._options())
