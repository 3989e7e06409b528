"""The losses of single logits as modules."""

from torch import Tensor

from .. import functional
from .base import Loss


class SigmoidFocalLoss(Loss):
    """:func:`iouloss.functional.sigmoid_focal_loss` as a module. A tensor ``alpha`` becomes a buffer."""

    function = staticmethod(functional.sigmoid_focal_loss)

    def __init__(
        self,
        alpha: Tensor | float | None = 0.25,
        gamma: float = 2.0,
        *,
        reduction: str = "mean",
        ignore_index: int = -100,
    ) -> None:
        super().__init__()
        self._keep(gamma=gamma, reduction=reduction, ignore_index=ignore_index)
        self.alpha: Tensor | float | None
        if isinstance(alpha, Tensor):
            self.register_buffer("alpha", alpha)
        else:
            self.alpha = alpha
        self._names = ("alpha", *self._names)

    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
    ) -> Tensor:
        return type(self).function(logits, targets, weight=weight, avg_factor=avg_factor, **self._options())
