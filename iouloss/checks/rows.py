"""What the losses of rows of logits accept."""

from torch import Tensor

from .._inputs import RowInputs
from .._tables import ROWS
from .numbers import check_choice, check_ignore_index, check_int, check_options, check_reduction, kind_of
from .tensors import (
    are_dense,
    check_avg_factor,
    check_class_dim,
    check_devices,
    check_floating,
    check_number_of_classes,
    check_shape,
    check_strided,
    check_tensors,
    rows_of,
    shape_of,
)

BY_CLASS = ("softmax_focal", "cross_entropy")


def check_row_loss(inputs: RowInputs) -> None:
    """Raise the ValueError or TypeError that the inputs of ``row_loss`` deserve, if any."""
    logits, targets, weight, avg_factor, formula, ignore_index, reduction, class_dim, class_weight, *_ = inputs
    weights_name = "alpha" if formula == "softmax_focal" else "class_weight"
    check_tensors(logits=logits, weight=weight)
    if formula != "entropy":
        check_tensors(targets=targets)
    if class_weight is not None:
        if not isinstance(class_weight, Tensor):
            raise TypeError(f"{weights_name}: got {kind_of(class_weight)}, wants a tensor [C] or None")
        check_strided(weights_name, class_weight)
    check_choice("formula", formula, ROWS)
    check_reduction(reduction)
    check_options(ROWS[formula], inputs)
    check_ignore_index(ignore_index)
    check_int("class_dim", class_dim)
    check_floating(logits=logits)
    if formula in ("distribution_focal", "kl_div"):
        check_floating(targets=targets)
    check_floating(weight=weight)
    check_floating(**{weights_name: class_weight})
    _check_row_shapes(inputs, weights_name)
    others = {"targets": targets, "weight": weight, weights_name: class_weight, "avg_factor": avg_factor}
    check_devices("logits", logits, **others)
    check_avg_factor(avg_factor, reduction)


def _check_row_shapes(inputs: RowInputs, weights_name: str) -> None:
    logits, targets, formula, class_dim = inputs.logits, inputs.targets, inputs.formula, inputs.class_dim
    if logits.ndim == 0:
        raise ValueError("logits: got shape [], wants [..., C]")
    check_class_dim(class_dim, logits)
    classes = logits.shape[class_dim]
    if classes == 0:
        raise ValueError(f"logits: got shape {shape_of(logits)}, wants at least one class")
    if formula == "distribution_focal":
        check_number_of_classes(classes)
    rows = rows_of(logits, class_dim)
    if formula in BY_CLASS:
        assert targets is not None  # for the type checker
        if are_dense(targets, logits, class_dim) and inputs.ignore_index is not None:
            raise ValueError(f"ignore_index: got {inputs.ignore_index} for dense targets, wants None")
    else:
        check_shape("targets", targets, logits.shape if formula == "kl_div" else rows)
    check_shape("weight", inputs.weight, rows)
    check_shape(weights_name, inputs.class_weight, [classes])
