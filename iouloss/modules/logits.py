"""The losses of single logits as modules."""

from torch import Tensor

from .. import functional
from .base import Loss, OfLogits


class _OfLogits(OfLogits):
    tensors = OfLogits.tensors | {"scores", "balance"}


class SigmoidFocalLoss(_OfLogits):
    """:func:`iouloss.functional.sigmoid_focal_loss` as a module."""

    function = staticmethod(functional.sigmoid_focal_loss)


class FocalStarLoss(_OfLogits):
    """:func:`iouloss.functional.focal_star_loss` as a module."""

    function = staticmethod(functional.focal_star_loss)


class Poly1FocalLoss(_OfLogits):
    """:func:`iouloss.functional.poly1_focal_loss` as a module."""

    function = staticmethod(functional.poly1_focal_loss)


class QualityFocalLoss(_OfLogits):
    """:func:`iouloss.functional.quality_focal_loss` as a module."""

    function = staticmethod(functional.quality_focal_loss)


class VarifocalLoss(_OfLogits):
    """:func:`iouloss.functional.varifocal_loss` as a module."""

    function = staticmethod(functional.varifocal_loss)


class GaussianFocalLoss(_OfLogits):
    """:func:`iouloss.functional.gaussian_focal_loss` as a module."""

    function = staticmethod(functional.gaussian_focal_loss)


class BinaryCrossEntropyLoss(_OfLogits):
    """:func:`iouloss.functional.binary_cross_entropy_loss` as a module."""

    function = staticmethod(functional.binary_cross_entropy_loss)


class AsymmetricLoss(_OfLogits):
    """:func:`iouloss.functional.asymmetric_loss` as a module."""

    function = staticmethod(functional.asymmetric_loss)


class EqualizedFocalLoss(_OfLogits):
    """:func:`iouloss.functional.equalized_focal_loss` as a module; ``forward`` takes ``balance=``, too."""

    function = staticmethod(functional.equalized_focal_loss)


class BinaryEntropyLoss(Loss):
    """:func:`iouloss.functional.binary_entropy_loss` as a module."""

    function = staticmethod(functional.binary_entropy_loss)
    tensors = frozenset(("logits", "weight", "avg_factor"))

    def forward(self, logits: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None) -> Tensor:
        return type(self).function(logits, weight=weight, avg_factor=avg_factor, **self._options())
