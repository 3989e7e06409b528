"""The losses in plain PyTorch: the readable truth, the fallback, and the source of second derivatives."""

from .._inputs import BoxInputs, LogitInputs, RegionInputs, RegressionInputs, RowInputs
from .boxes import box_loss
from .logits import logit_loss
from .regions import region_loss
from .regression import regression_loss
from .rows import row_loss

__all__ = [
    "BoxInputs",
    "LogitInputs",
    "RegionInputs",
    "RegressionInputs",
    "RowInputs",
    "box_loss",
    "logit_loss",
    "region_loss",
    "regression_loss",
    "row_loss",
]
