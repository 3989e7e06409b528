"""The losses of the difference of two tensors as modules."""

from torch import Tensor

from .. import functional
from .base import Loss


class _OfDifference(Loss):
    tensors = frozenset(("pred", "target", "weight", "avg_factor"))

    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor:
        return type(self).function(pred, target, weight, avg_factor=avg_factor, **self._options())


class L1Loss(_OfDifference):
    """:func:`iouloss.functional.l1_loss` as a module."""

    function = staticmethod(functional.l1_loss)


class L2Loss(_OfDifference):
    """:func:`iouloss.functional.l2_loss` as a module."""

    function = staticmethod(functional.l2_loss)


class SmoothL1Loss(_OfDifference):
    """:func:`iouloss.functional.smooth_l1_loss` as a module."""

    function = staticmethod(functional.smooth_l1_loss)


class HuberLoss(_OfDifference):
    """:func:`iouloss.functional.huber_loss` as a module."""

    function = staticmethod(functional.huber_loss)


class BalancedL1Loss(_OfDifference):
    """:func:`iouloss.functional.balanced_l1_loss` as a module."""

    function = staticmethod(functional.balanced_l1_loss)


class FocalL1Loss(_OfDifference):
    """:func:`iouloss.functional.focal_l1_loss` as a module."""

    function = staticmethod(functional.focal_l1_loss)
