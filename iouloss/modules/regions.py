"""The losses of regions as modules."""

from .. import functional
from .base import OfLogits


class DiceLoss(OfLogits):
    """:func:`iouloss.functional.dice_loss` as a module."""

    function = staticmethod(functional.dice_loss)


class GeneralizedDiceLoss(OfLogits):
    """:func:`iouloss.functional.generalized_dice_loss` as a module."""

    function = staticmethod(functional.generalized_dice_loss)


class TverskyLoss(OfLogits):
    """:func:`iouloss.functional.tversky_loss` as a module."""

    function = staticmethod(functional.tversky_loss)


class FocalTverskyLoss(OfLogits):
    """:func:`iouloss.functional.focal_tversky_loss` as a module."""

    function = staticmethod(functional.focal_tversky_loss)
