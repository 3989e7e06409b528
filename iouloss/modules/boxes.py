"""The losses of paired boxes as modules."""

from typing import Any

from torch import Tensor

from .. import functional
from .base import Loss


class _PairedBoxes(Loss):
    """The options and the arguments that all box losses have."""

    def __init__(
        self, *, reduction: str = "mean", fmt: str = "xyxy", eps: float = 1e-7, eps_mode: str = "torchvision"
    ) -> None:
        super().__init__()
        self._keep(reduction=reduction, fmt=fmt, eps=eps, eps_mode=eps_mode)

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        return type(self).function(pred, target, weight, mask=mask, avg_factor=avg_factor, **self._options())


class BoxLoss(_PairedBoxes):
    """A box loss by name, with that loss's parameters: :func:`iouloss.functional.box_loss`."""

    function = staticmethod(functional.box_loss)

    def __init__(
        self,
        kind: str = "ciou",
        *,
        reduction: str = "mean",
        fmt: str = "xyxy",
        eps: float = 1e-7,
        eps_mode: str = "torchvision",
        **parameters: str | float,
    ) -> None:
        super().__init__(reduction=reduction, fmt=fmt, eps=eps, eps_mode=eps_mode)
        self._keep(kind=kind, **parameters)


class IoULoss(_PairedBoxes):
    """:func:`iouloss.functional.iou_loss` as a module."""

    function = staticmethod(functional.iou_loss)

    def __init__(self, *, mode: str = "linear", **options: Any) -> None:
        super().__init__(**options)
        self._keep(mode=mode)


class GIoULoss(_PairedBoxes):
    """:func:`iouloss.functional.giou_loss` as a module."""

    function = staticmethod(functional.giou_loss)


class DIoULoss(_PairedBoxes):
    """:func:`iouloss.functional.diou_loss` as a module."""

    function = staticmethod(functional.diou_loss)


class CIoULoss(_PairedBoxes):
    """:func:`iouloss.functional.ciou_loss` as a module."""

    function = staticmethod(functional.ciou_loss)


class EIoULoss(_PairedBoxes):
    """:func:`iouloss.functional.eiou_loss` as a module."""

    function = staticmethod(functional.eiou_loss)


class FocalEIoULoss(_PairedBoxes):
    """:func:`iouloss.functional.focal_eiou_loss` as a module."""

    function = staticmethod(functional.focal_eiou_loss)

    def __init__(self, *, gamma: float = 0.5, **options: Any) -> None:
        super().__init__(**options)
        self._keep(gamma=gamma)


class CDIoULoss(_PairedBoxes):
    """:func:`iouloss.functional.cdiou_loss` as a module."""

    function = staticmethod(functional.cdiou_loss)

    def __init__(self, *, base: str = "giou", lambda_: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self._keep(base=base, lambda_=lambda_)
