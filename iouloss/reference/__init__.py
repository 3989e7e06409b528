"""The losses in plain PyTorch: the readable truth, the fallback, and the source of second derivatives."""

from .boxes import box_loss
from .focal import sigmoid_focal_loss
from .regions import region_loss

__all__ = ["box_loss", "region_loss", "sigmoid_focal_loss"]
