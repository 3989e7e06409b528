"""The losses in plain PyTorch: the readable truth, the fallback, and the source of second derivatives."""

from .boxes import box_loss
from .focal import sigmoid_focal_loss
from .rows import row_loss

__all__ = ["box_loss", "row_loss", "sigmoid_focal_loss"]
