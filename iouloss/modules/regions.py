"""The losses of regions as modules."""

import inspect
from typing import Any

from torch import Tensor

from .. import functional
from .base import Loss


class _RegionLoss(Loss):
    """Takes the options of its function but ``avg_factor``, which comes with the tensors."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        parameters = inspect.signature(type(self).function).parameters.values()
        known = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "avg_factor"}
        for name in options:
            if name not in known:
                raise TypeError(f"{type(self).__name__}: got the option {name!r}, wants {', '.join(map(repr, known))}")
        chosen = known | options
        class_weight = chosen.pop("class_weight")
        self._keep(**chosen)
        self.class_weight: Tensor | None
        self.register_buffer("class_weight", class_weight)
        self._names = (*self._names, "class_weight")

    def forward(self, logits: Tensor, targets: Tensor, avg_factor: Tensor | float | None = None) -> Tensor:
        return type(self).function(logits, targets, avg_factor=avg_factor, **self._options())


class DiceLoss(_RegionLoss):
    """:func:`iouloss.functional.dice_loss` as a module. ``class_weight`` becomes a buffer."""

    function = staticmethod(functional.dice_loss)


class GeneralizedDiceLoss(_RegionLoss):
    """:func:`iouloss.functional.generalized_dice_loss` as a module. ``class_weight`` becomes a buffer."""

    function = staticmethod(functional.generalized_dice_loss)


class TverskyLoss(_RegionLoss):
    """:func:`iouloss.functional.tversky_loss` as a module. ``class_weight`` becomes a buffer."""

    function = staticmethod(functional.tversky_loss)


class FocalTverskyLoss(_RegionLoss):
    """:func:`iouloss.functional.focal_tversky_loss` as a module. ``class_weight`` becomes a buffer."""

    function = staticmethod(functional.focal_tversky_loss)
