"""A module per loss: it holds the options, ``forward`` takes the tensors. ``iouloss.functional`` documents both."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from . import functional


class _Loss(nn.Module):
    """Keeps its options as attributes, shows them, and hands them to the function."""

    function: ClassVar[Callable[..., Tensor]]

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()

    def _keep(self, **options: Any) -> None:
        """Keep more options; they are shown before those kept so far."""
        self._names = (*options, *self._names)
        for name, value in options.items():
            setattr(self, name, value)

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self._options().items())


class _PairedBoxes(_Loss):
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


class SigmoidFocalLoss(_Loss):
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
