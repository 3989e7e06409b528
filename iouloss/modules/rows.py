"""The losses on rows of logits as modules."""

from typing import Any

from torch import Tensor

from .. import functional
from .base import Loss


class _Rows(Loss):
    """The options and the arguments that these losses have. An option that is a tensor becomes a buffer."""

    def __init__(self, *, reduction: str = "mean", class_dim: int = -1, **options: Any) -> None:
        super().__init__()
        self._keep(reduction=reduction, class_dim=class_dim)
        for name, value in reversed(options.items()):
            if isinstance(value, Tensor):
                self.register_buffer(name, value)
                self._names = (name, *self._names)
            else:
                self._keep(**{name: value})

    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
    ) -> Tensor:
        return type(self).function(logits, targets, weight=weight, avg_factor=avg_factor, **self._options())


class SoftmaxFocalLoss(_Rows):
    """:func:`iouloss.functional.softmax_focal_loss` as a module. A tensor ``alpha`` becomes a buffer."""

    function = staticmethod(functional.softmax_focal_loss)

    def __init__(
        self,
        alpha: Tensor | float | None = 0.25,
        gamma: float = 2.0,
        *,
        reduction: str = "mean",
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        class_dim: int = -1,
    ) -> None:
        options = {"alpha": alpha, "gamma": gamma, "label_smoothing": label_smoothing, "ignore_index": ignore_index}
        super().__init__(reduction=reduction, class_dim=class_dim, **options)


class CrossEntropyLoss(_Rows):
    """:func:`iouloss.functional.cross_entropy_loss` as a module. ``class_weight`` becomes a buffer."""

    function = staticmethod(functional.cross_entropy_loss)

    def __init__(
        self,
        *,
        class_weight: Tensor | None = None,
        label_smoothing: float = 0.0,
        poly_epsilon: float = 0.0,
        reduction: str = "mean",
        ignore_index: int = -100,
        class_dim: int = -1,
    ) -> None:
        options = {"class_weight": class_weight, "label_smoothing": label_smoothing, "poly_epsilon": poly_epsilon}
        super().__init__(reduction=reduction, class_dim=class_dim, **options, ignore_index=ignore_index)


class DistributionFocalLoss(_Rows):
    """:func:`iouloss.functional.distribution_focal_loss` as a module."""

    function = staticmethod(functional.distribution_focal_loss)

    def __init__(self, *, reduction: str = "mean", class_dim: int = -1) -> None:
        super().__init__(reduction=reduction, class_dim=class_dim)


class KLDivLoss(_Rows):
    """:func:`iouloss.functional.kl_div_loss` as a module."""

    function = staticmethod(functional.kl_div_loss)

    def __init__(self, *, temperature: float = 1.0, reduction: str = "mean", class_dim: int = -1) -> None:
        super().__init__(reduction=reduction, class_dim=class_dim, temperature=temperature)


class EntropyLoss(_Rows):
    """:func:`iouloss.functional.entropy_loss` as a module."""

    function = staticmethod(functional.entropy_loss)

    def __init__(self, *, reduction: str = "mean", class_dim: int = -1) -> None:
        super().__init__(reduction=reduction, class_dim=class_dim)

    def forward(  # type: ignore[override]
        self, logits: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor:
        return functional.entropy_loss(logits, weight=weight, avg_factor=avg_factor, **self._options())
