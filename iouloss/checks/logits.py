"""What the losses of logits accept."""

from .._inputs import LogitInputs
from .._tables import LOGITS
from .numbers import (
    check_choice,
    check_ignore_index,
    check_not_negative,
    check_options,
    check_reduction,
    kind_of,
)
from .tensors import (
    are_dense,
    check_avg_factor,
    check_class_dim,
    check_devices,
    check_floating,
    check_per_class,
    check_shape,
    check_tensors,
    check_weight,
    rows_of,
)

# No kernel has these.
UNFUSED = {"varifocal_detached": LOGITS["varifocal"]}


def check_logit_loss(inputs: LogitInputs) -> None:
    """Raise the ValueError or TypeError that the inputs of a loss of logits deserve, if any."""
    logits, targets, weight, avg_factor, formula, ignore_index, reduction, scores, *_ = inputs
    class_dim, balance = inputs.class_dim, inputs.balance
    check_tensors(logits=logits, targets=targets, weight=weight, scores=scores)
    losses = {**LOGITS, **UNFUSED}
    check_choice("formula", formula, losses)
    check_reduction(reduction)
    for name in ("alpha1", "alpha0"):
        check_not_negative(name, getattr(inputs, name))
    check_options(losses[formula], inputs)
    check_ignore_index(ignore_index)
    check_floating(logits=logits)
    check_class_dim(class_dim, logits)
    dense = are_dense(targets, logits, class_dim)
    check_floating(weight=weight, scores=scores)
    for name, option in (("alpha", inputs.alpha_per_class), ("balance", balance)):
        check_per_class(name, option, logits, class_dim)
    if (formula == "equalized_focal") != (balance is not None):
        wants = "a tensor [C]" if balance is None else "None"
        raise ValueError(f"balance: got {kind_of(balance)} for {formula!r}, wants {wants}")
    if dense:
        if scores is not None:
            raise ValueError("scores: got dense targets, wants class indices")
    else:
        check_shape("scores", scores, rows_of(logits, class_dim))
    check_weight(weight, logits, class_dim)
    check_devices("logits", logits, targets=targets, scores=scores, weight=weight, avg_factor=avg_factor)
    check_avg_factor(avg_factor, reduction)
