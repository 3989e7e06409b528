"""What the losses of differences accept."""

from .._inputs import RegressionInputs
from .._tables import REGRESSION
from .numbers import check_choice, check_options, check_reduction
from .tensors import check_avg_factor, check_devices, check_floating, check_shape, check_tensors, check_weight


def check_regression_loss(inputs: RegressionInputs) -> None:
    """Raise the ValueError or TypeError that the inputs of a loss of differences deserve, if any."""
    pred, target, weight, avg_factor, formula, reduction, alpha, _, gamma, _ = inputs
    check_tensors(pred=pred, target=target, weight=weight)
    check_choice("formula", formula, REGRESSION)
    check_reduction(reduction)
    check_options(REGRESSION[formula], inputs)
    if formula == "balanced_l1" and gamma / alpha > 80:
        raise ValueError(f"gamma: got {float(gamma)}, wants at most 80 * alpha, {80.0 * alpha}")
    check_floating(pred=pred, target=target, weight=weight)
    check_shape("target", target, pred.shape, "pred's shape ")
    check_weight(weight, pred)
    check_devices("pred", pred, target=target, weight=weight, avg_factor=avg_factor)
    check_avg_factor(avg_factor, reduction)
