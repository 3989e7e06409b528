"""The losses of regions as modules."""

from torch import Tensor

from .. import functional
from .base import Loss


class _OfRegions(Loss):
    tensors = frozenset(("logits", "targets", "weight", "avg_factor"))

    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
    ) -> Tensor:
        return type(self).function(logits, targets, weight=weight, avg_factor=avg_factor, **self._options())


class DiceLoss(_OfRegions):
    """:func:`iouloss.functional.dice_loss` as a module."""

    function = staticmethod(functional.dice_loss)


class GeneralizedDiceLoss(_OfRegions):
    """:func:`iouloss.functional.generalized_dice_loss` as a module."""

    function = staticmethod(functional.generalized_dice_loss)


class TverskyLoss(_OfRegions):
    """:func:`iouloss.functional.tversky_loss` as a module."""

    function = staticmethod(functional.tversky_loss)


class FocalTverskyLoss(_OfRegions):
    """:func:`iouloss.functional.focal_tversky_loss` as a module."""

    function = staticmethod(functional.focal_tversky_loss)
