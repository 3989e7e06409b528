"""What the operators accept, and the errors for everything else: a file for each shape.

A check takes the inputs of its operator whole. The compiled operators make the same checks in C++. These serve the
calls of the reference, and arguments whose type C++ refuses to read. Every message reads
``<argument>: got <x>, wants <y>``.
"""

from collections.abc import Callable
from typing import Any

from .boxes import check_box_loss
from .logits import check_logit_loss
from .regions import check_region_loss
from .regression import check_regression_loss
from .rows import check_row_loss

CHECKS: dict[str, Callable[[Any], None]] = {
    "box_loss": check_box_loss,
    "logit_loss": check_logit_loss,
    "regression_loss": check_regression_loss,
    "row_loss": check_row_loss,
    "region_loss": check_region_loss,
}
