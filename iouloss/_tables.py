"""The losses of each operator, and the options that each takes: what these may be.

The extension has the same tables, in ``csrc/core/*_table.h``.
"""

_ALPHA_GAMMA = {"alpha": "not_negative", "gamma": "not_negative"}
_LABELS = {**_ALPHA_GAMMA, "label_smoothing": "fraction", "poly_epsilon": "finite"}
_FOCUS = {"gamma_neg": "not_negative", "gamma_pos": "not_negative", "margin": "fraction"}
_DICE = {"gamma": "positive", "smooth_numerator": "not_negative", "smooth_denominator": "not_negative"}

BOXES = {
    "iou": {},
    "log_iou": {},
    "square_iou": {},
    "giou": {},
    "diou": {},
    "ciou": {},
    "eiou": {},
    "focal_eiou": {"gamma": "not_negative"},
    "cdiou_iou": {"lambda_": "finite"},
    "cdiou_log_iou": {"lambda_": "finite"},
    "cdiou_giou": {"lambda_": "finite"},
    "cdiou_diou": {"lambda_": "finite"},
    "cdiou_ciou": {"lambda_": "finite"},
    "bounded_iou": {"beta": "positive"},
    "bounded_iou_swapped": {"beta": "positive"},
}
LOGITS = {
    "square_focal": {},
    "focal": {"gamma": "not_negative"},
    "equalized_focal": {"gamma": "positive", "scale": "not_negative"},
    "smooth_focal": {"gamma": "not_negative", "label_smoothing": "fraction"},
    "focal_star": {"gamma": "positive", "beta": "finite"},
    "poly_focal": {"gamma": "not_negative", "epsilon1": "finite", "epsilon0": "finite"},
    "quality_focal": {"beta": "not_negative"},
    "varifocal": {"gamma": "not_negative"},
    "gaussian_focal": {"alpha": "not_negative", "beta": "not_negative"},
    "binary_cross_entropy": {},
    "asymmetric": _FOCUS,
    "asymmetric_attached": _FOCUS,
    "binary_entropy": {},
}
# No kernel has these.
UNFUSED_LOGITS = {"varifocal_detached": LOGITS["varifocal"]}
REGRESSION = {
    "l1": {},
    "l2": {},
    "smooth_l1": {"beta": "not_negative", "factor": "positive"},
    "balanced_l1": {"alpha": "positive", "gamma": "positive", "beta": "positive"},
    "focal_l1": {"alpha": "positive", "beta": "positive"},
}
ROWS = {
    "softmax_focal": _LABELS,
    "cross_entropy": _LABELS,
    "distribution_focal": {},
    "kl_div": {"temperature": "positive"},
    "entropy": {},
}
REGIONS = {
    "dice": _DICE,
    "generalized_dice": _DICE,
    "tversky": {**_DICE, "alpha": "not_negative", "beta": "not_negative"},
}

# The losses that each library has. None means all of them: torchvision's placement of eps is defined for every loss of
# areas.
EPS_MODES: dict[str, tuple[str, ...] | None] = {
    "torchvision": None,
    "torchvision_exact": None,
    "mmdet": ("iou", "log_iou", "square_iou", "giou", "diou", "ciou"),
    "mmyolo": ("iou", "giou", "ciou"),
    "ultralytics": ("iou", "giou", "diou", "ciou"),
}

# The losses without areas. They have a single place for eps, which is the default.
ONE_PLACE = ("bounded_iou", "bounded_iou_swapped")
