"""The losses of each operator, and the options that each takes: what these may be.

Written by tools/generate.py from ``csrc/core/*_table.h``.
"""

BOXES: dict[str, dict[str, str]] = {
    "iou": {},
    "log_iou": {},
    "square_iou": {},
    "giou": {},
    "diou": {},
    "ciou": {},
    "eiou": {},
    "siou": {"theta": "positive"},
    "focal_eiou": {"gamma": "not_negative"},
    "cdiou_iou": {"lambda_": "finite"},
    "cdiou_log_iou": {"lambda_": "finite"},
    "cdiou_giou": {"lambda_": "finite"},
    "cdiou_diou": {"lambda_": "finite"},
    "cdiou_ciou": {"lambda_": "finite"},
    "bounded_iou": {"beta": "positive"},
    "bounded_iou_swapped": {"beta": "positive"},
}

LOGITS: dict[str, dict[str, str]] = {
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
    "asymmetric": {"gamma_neg": "not_negative", "gamma_pos": "not_negative", "margin": "fraction"},
    "asymmetric_attached": {"gamma_neg": "not_negative", "gamma_pos": "not_negative", "margin": "fraction"},
    "binary_entropy": {},
}

REGRESSION: dict[str, dict[str, str]] = {
    "l1": {},
    "l2": {},
    "smooth_l1": {"beta": "not_negative", "factor": "positive"},
    "balanced_l1": {"alpha": "positive", "gamma": "positive", "beta": "positive"},
    "focal_l1": {"alpha": "positive", "beta": "positive"},
}

ROWS: dict[str, dict[str, str]] = {
    "softmax_focal": {
        "alpha": "not_negative",
        "gamma": "not_negative",
        "label_smoothing": "fraction",
        "poly_epsilon": "finite",
    },
    "cross_entropy": {
        "alpha": "not_negative",
        "gamma": "not_negative",
        "label_smoothing": "fraction",
        "poly_epsilon": "finite",
    },
    "distribution_focal": {},
    "kl_div": {"temperature": "positive"},
    "entropy": {},
}

REGIONS: dict[str, dict[str, str]] = {
    "dice": {"gamma": "positive", "smooth_numerator": "not_negative", "smooth_denominator": "not_negative"},
    "generalized_dice": {"gamma": "positive", "smooth_numerator": "not_negative", "smooth_denominator": "not_negative"},
    "tversky": {
        "alpha": "not_negative",
        "beta": "not_negative",
        "gamma": "positive",
        "smooth_numerator": "not_negative",
        "smooth_denominator": "not_negative",
    },
}
