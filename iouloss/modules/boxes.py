"""The losses of paired boxes as modules."""

from torch import Tensor

from .. import functional
from .base import Loss


class _OfBoxes(Loss):
    tensors = frozenset(("pred", "target", "weight", "mask", "avg_factor"))

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        return type(self).function(pred, target, weight, mask=mask, avg_factor=avg_factor, **self._options())


class BoxLoss(_OfBoxes):
    """A box loss by name, with that loss's parameters: :func:`iouloss.functional.box_loss`."""

    function = staticmethod(functional.box_loss)


class IoULoss(_OfBoxes):
    """:func:`iouloss.functional.iou_loss` as a module."""

    function = staticmethod(functional.iou_loss)


class GIoULoss(_OfBoxes):
    """:func:`iouloss.functional.giou_loss` as a module."""

    function = staticmethod(functional.giou_loss)


class DIoULoss(_OfBoxes):
    """:func:`iouloss.functional.diou_loss` as a module."""

    function = staticmethod(functional.diou_loss)


class CIoULoss(_OfBoxes):
    """:func:`iouloss.functional.ciou_loss` as a module."""

    function = staticmethod(functional.ciou_loss)


class EIoULoss(_OfBoxes):
    """:func:`iouloss.functional.eiou_loss` as a module."""

    function = staticmethod(functional.eiou_loss)


class FocalEIoULoss(_OfBoxes):
    """:func:`iouloss.functional.focal_eiou_loss` as a module."""

    function = staticmethod(functional.focal_eiou_loss)


class CDIoULoss(_OfBoxes):
    """:func:`iouloss.functional.cdiou_loss` as a module."""

    function = staticmethod(functional.cdiou_loss)


class BoundedIoULoss(_OfBoxes):
    """:func:`iouloss.functional.bounded_iou_loss` as a module."""

    function = staticmethod(functional.bounded_iou_loss)
