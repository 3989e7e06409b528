"""Written by tools/generate.py."""

from torch import Tensor

from .base import Loss

__all__ = [
    "AsymmetricLoss",
    "BalancedL1Loss",
    "BinaryCrossEntropyLoss",
    "BinaryEntropyLoss",
    "BoundedIoULoss",
    "BoxLoss",
    "CDIoULoss",
    "CIoULoss",
    "CrossEntropyLoss",
    "DIoULoss",
    "DiceLoss",
    "DistributionFocalLoss",
    "EIoULoss",
    "EntropyLoss",
    "EqualizedFocalLoss",
    "FocalEIoULoss",
    "FocalL1Loss",
    "FocalStarLoss",
    "FocalTverskyLoss",
    "GIoULoss",
    "GaussianFocalLoss",
    "GeneralizedDiceLoss",
    "HuberLoss",
    "IoULoss",
    "KLDivLoss",
    "L1Loss",
    "L2Loss",
    "Poly1FocalLoss",
    "QualityFocalLoss",
    "SIoULoss",
    "SigmoidFocalLoss",
    "SmoothL1Loss",
    "SoftmaxFocalLoss",
    "TverskyLoss",
    "VarifocalLoss",
]

class AsymmetricLoss(Loss):
    """The module of :func:`iouloss.functional.asymmetric_loss`."""

    gamma_neg: float
    gamma_pos: float
    margin: float
    differentiable_focus: bool
    reduction: str
    ignore_index: int | None
    class_dim: int
    def __init__(
        self,
        gamma_neg: float = 4.0,
        gamma_pos: float = 1.0,
        margin: float = 0.05,
        *,
        differentiable_focus: bool = False,
        reduction: str = "mean",
        ignore_index: int | None = None,
        class_dim: int = -1,
    ) -> None: ...
    def forward(
        self, logits: Tensor, targets: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class BalancedL1Loss(Loss):
    """The module of :func:`iouloss.functional.balanced_l1_loss`."""

    alpha: float
    gamma: float
    beta: float
    reduction: str
    def __init__(
        self, *, alpha: float = 0.5, gamma: float = 1.5, beta: float = 1.0, reduction: str = "mean"
    ) -> None: ...
    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class BinaryCrossEntropyLoss(Loss):
    """The module of :func:`iouloss.functional.binary_cross_entropy_loss`."""

    pos_weight: Tensor | float | None
    alpha: float | None
    reduction: str
    ignore_index: int | None
    class_dim: int
    def __init__(
        self,
        pos_weight: Tensor | float | None = None,
        *,
        alpha: float | None = None,
        reduction: str = "mean",
        ignore_index: int | None = None,
        class_dim: int = -1,
    ) -> None: ...
    def forward(
        self, logits: Tensor, targets: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class BinaryEntropyLoss(Loss):
    """The module of :func:`iouloss.functional.binary_entropy_loss`."""

    reduction: str
    class_dim: int
    def __init__(self, *, reduction: str = "mean", class_dim: int = -1) -> None: ...
    def forward(
        self, logits: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class BoundedIoULoss(Loss):
    """The module of :func:`iouloss.functional.bounded_iou_loss`."""

    beta: float
    reduction: str
    fmt: str
    eps: float
    def __init__(
        self, *, beta: float = 0.2, reduction: str = "mean", fmt: str = "xyxy", eps: float = 0.001
    ) -> None: ...
    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class BoxLoss(Loss):
    """The module of :func:`iouloss.functional.box_loss`."""

    kind: str
    reduction: str
    fmt: str
    eps: float | None
    eps_mode: str
    def __init__(
        self,
        *,
        kind: str = "ciou",
        reduction: str = "mean",
        fmt: str = "xyxy",
        eps: float | None = None,
        eps_mode: str = "torchvision",
        **parameters: str | float,
    ) -> None: ...
    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class CDIoULoss(Loss):
    """The module of :func:`iouloss.functional.cdiou_loss`."""

    base: str
    lambda_: float
    reduction: str
    fmt: str
    eps: float
    eps_mode: str
    def __init__(
        self,
        *,
        base: str = "giou",
        lambda_: float = 1.0,
        reduction: str = "mean",
        fmt: str = "xyxy",
        eps: float = 1e-07,
        eps_mode: str = "torchvision",
    ) -> None: ...
    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class CIoULoss(Loss):
    """The module of :func:`iouloss.functional.ciou_loss`."""

    reduction: str
    fmt: str
    eps: float
    eps_mode: str
    def __init__(
        self, *, reduction: str = "mean", fmt: str = "xyxy", eps: float = 1e-07, eps_mode: str = "torchvision"
    ) -> None: ...
    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class CrossEntropyLoss(Loss):
    """The module of :func:`iouloss.functional.cross_entropy_loss`."""

    class_weight: Tensor | None
    label_smoothing: float
    poly_epsilon: float
    reduction: str
    ignore_index: int | None
    class_dim: int
    def __init__(
        self,
        *,
        class_weight: Tensor | None = None,
        label_smoothing: float = 0.0,
        poly_epsilon: float = 0.0,
        reduction: str = "mean",
        ignore_index: int | None = None,
        class_dim: int = -1,
    ) -> None: ...
    def forward(
        self, logits: Tensor, targets: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class DIoULoss(Loss):
    """The module of :func:`iouloss.functional.diou_loss`."""

    reduction: str
    fmt: str
    eps: float
    eps_mode: str
    def __init__(
        self, *, reduction: str = "mean", fmt: str = "xyxy", eps: float = 1e-07, eps_mode: str = "torchvision"
    ) -> None: ...
    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class DiceLoss(Loss):
    """The module of :func:`iouloss.functional.dice_loss`."""

    power: int
    smooth_numerator: float
    smooth_denominator: float
    activation: str | None
    per: str
    class_weight: Tensor | None
    reduction: str
    ignore_index: int | None
    soft_labels: bool
    def __init__(
        self,
        *,
        power: int = 1,
        smooth_numerator: float = 1e-05,
        smooth_denominator: float = 1e-05,
        activation: str | None = "sigmoid",
        per: str = "image_class",
        class_weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: int | None = None,
        soft_labels: bool = False,
    ) -> None: ...
    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        pixel_weight: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class DistributionFocalLoss(Loss):
    """The module of :func:`iouloss.functional.distribution_focal_loss`."""

    reduction: str
    class_dim: int
    def __init__(self, *, reduction: str = "mean", class_dim: int = -1) -> None: ...
    def forward(
        self, logits: Tensor, targets: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class EIoULoss(Loss):
    """The module of :func:`iouloss.functional.eiou_loss`."""

    reduction: str
    fmt: str
    eps: float
    eps_mode: str
    def __init__(
        self, *, reduction: str = "mean", fmt: str = "xyxy", eps: float = 1e-07, eps_mode: str = "torchvision"
    ) -> None: ...
    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class EntropyLoss(Loss):
    """The module of :func:`iouloss.functional.entropy_loss`."""

    reduction: str
    class_dim: int
    def __init__(self, *, reduction: str = "mean", class_dim: int = -1) -> None: ...
    def forward(
        self, logits: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class EqualizedFocalLoss(Loss):
    """The module of :func:`iouloss.functional.equalized_focal_loss`."""

    alpha: Tensor | float | None
    gamma: float
    scale: float
    reduction: str
    ignore_index: int | None
    class_dim: int
    def __init__(
        self,
        alpha: Tensor | float | None = 0.25,
        gamma: float = 2.0,
        scale: float = 8.0,
        *,
        reduction: str = "mean",
        ignore_index: int | None = None,
        class_dim: int = -1,
    ) -> None: ...
    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        balance: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
    ) -> Tensor: ...
    __call__ = forward

class FocalEIoULoss(Loss):
    """The module of :func:`iouloss.functional.focal_eiou_loss`."""

    gamma: float
    reduction: str
    fmt: str
    eps: float
    eps_mode: str
    def __init__(
        self,
        *,
        gamma: float = 0.5,
        reduction: str = "mean",
        fmt: str = "xyxy",
        eps: float = 1e-07,
        eps_mode: str = "torchvision",
    ) -> None: ...
    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class FocalL1Loss(Loss):
    """The module of :func:`iouloss.functional.focal_l1_loss`."""

    beta: float
    alpha: float | None
    reduction: str
    def __init__(self, *, beta: float = 0.8, alpha: float | None = None, reduction: str = "mean") -> None: ...
    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class FocalStarLoss(Loss):
    """The module of :func:`iouloss.functional.focal_star_loss`."""

    alpha: Tensor | float | None
    gamma: float
    beta: float
    reduction: str
    ignore_index: int | None
    class_dim: int
    def __init__(
        self,
        alpha: Tensor | float | None = None,
        gamma: float = 2.0,
        beta: float = 1.0,
        *,
        reduction: str = "mean",
        ignore_index: int | None = None,
        class_dim: int = -1,
    ) -> None: ...
    def forward(
        self, logits: Tensor, targets: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class FocalTverskyLoss(Loss):
    """The module of :func:`iouloss.functional.focal_tversky_loss`."""

    alpha: float
    beta: float
    gamma: float
    smooth_numerator: float
    smooth_denominator: float
    activation: str | None
    per: str
    class_weight: Tensor | None
    reduction: str
    ignore_index: int | None
    soft_labels: bool
    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 1.3333333333333333,
        smooth_numerator: float = 1e-05,
        smooth_denominator: float = 1e-05,
        activation: str | None = "sigmoid",
        per: str = "image_class",
        class_weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: int | None = None,
        soft_labels: bool = False,
    ) -> None: ...
    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        pixel_weight: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class GIoULoss(Loss):
    """The module of :func:`iouloss.functional.giou_loss`."""

    reduction: str
    fmt: str
    eps: float
    eps_mode: str
    def __init__(
        self, *, reduction: str = "mean", fmt: str = "xyxy", eps: float = 1e-07, eps_mode: str = "torchvision"
    ) -> None: ...
    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class GaussianFocalLoss(Loss):
    """The module of :func:`iouloss.functional.gaussian_focal_loss`."""

    alpha: float
    beta: float
    reduction: str
    ignore_index: int | None
    class_dim: int
    def __init__(
        self,
        alpha: float = 2.0,
        beta: float = 4.0,
        *,
        reduction: str = "mean",
        ignore_index: int | None = None,
        class_dim: int = -1,
    ) -> None: ...
    def forward(
        self, logits: Tensor, targets: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class GeneralizedDiceLoss(Loss):
    """The module of :func:`iouloss.functional.generalized_dice_loss`."""

    smooth_numerator: float
    smooth_denominator: float
    activation: str | None
    per: str
    class_weight: Tensor | None
    reduction: str
    ignore_index: int | None
    soft_labels: bool
    def __init__(
        self,
        *,
        smooth_numerator: float = 1e-05,
        smooth_denominator: float = 1e-05,
        activation: str | None = "softmax",
        per: str = "image",
        class_weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: int | None = None,
        soft_labels: bool = False,
    ) -> None: ...
    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        pixel_weight: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class HuberLoss(Loss):
    """The module of :func:`iouloss.functional.huber_loss`."""

    delta: float
    reduction: str
    def __init__(self, *, delta: float = 1.0, reduction: str = "mean") -> None: ...
    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class IoULoss(Loss):
    """The module of :func:`iouloss.functional.iou_loss`."""

    mode: str
    reduction: str
    fmt: str
    eps: float
    eps_mode: str
    def __init__(
        self,
        *,
        mode: str = "linear",
        reduction: str = "mean",
        fmt: str = "xyxy",
        eps: float = 1e-07,
        eps_mode: str = "torchvision",
    ) -> None: ...
    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class KLDivLoss(Loss):
    """The module of :func:`iouloss.functional.kl_div_loss`."""

    temperature: float
    reduction: str
    class_dim: int
    def __init__(self, *, temperature: float = 1.0, reduction: str = "mean", class_dim: int = -1) -> None: ...
    def forward(
        self, logits: Tensor, targets: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class L1Loss(Loss):
    """The module of :func:`iouloss.functional.l1_loss`."""

    reduction: str
    def __init__(self, *, reduction: str = "mean") -> None: ...
    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class L2Loss(Loss):
    """The module of :func:`iouloss.functional.l2_loss`."""

    reduction: str
    def __init__(self, *, reduction: str = "mean") -> None: ...
    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class Poly1FocalLoss(Loss):
    """The module of :func:`iouloss.functional.poly1_focal_loss`."""

    epsilon: float
    alpha: float | None
    gamma: float
    balance_epsilon: bool
    reduction: str
    ignore_index: int | None
    class_dim: int
    def __init__(
        self,
        epsilon: float = 1.0,
        alpha: float | None = 0.25,
        gamma: float = 2.0,
        *,
        balance_epsilon: bool = False,
        reduction: str = "mean",
        ignore_index: int | None = None,
        class_dim: int = -1,
    ) -> None: ...
    def forward(
        self, logits: Tensor, targets: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class QualityFocalLoss(Loss):
    """The module of :func:`iouloss.functional.quality_focal_loss`."""

    beta: float
    reduction: str
    ignore_index: int | None
    class_dim: int
    def __init__(
        self, beta: float = 2.0, *, reduction: str = "mean", ignore_index: int | None = None, class_dim: int = -1
    ) -> None: ...
    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        scores: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class SIoULoss(Loss):
    """The module of :func:`iouloss.functional.siou_loss`."""

    theta: float
    reduction: str
    fmt: str
    eps: float
    eps_mode: str
    def __init__(
        self,
        *,
        theta: float = 4.0,
        reduction: str = "mean",
        fmt: str = "xyxy",
        eps: float = 1e-07,
        eps_mode: str = "torchvision",
    ) -> None: ...
    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        mask: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class SigmoidFocalLoss(Loss):
    """The module of :func:`iouloss.functional.sigmoid_focal_loss`."""

    alpha: Tensor | float | None
    gamma: float
    label_smoothing: float
    smooth_all: bool
    reduction: str
    ignore_index: int | None
    class_dim: int
    def __init__(
        self,
        alpha: Tensor | float | None = 0.25,
        gamma: float = 2.0,
        *,
        label_smoothing: float = 0.0,
        smooth_all: bool = False,
        reduction: str = "mean",
        ignore_index: int | None = None,
        class_dim: int = -1,
    ) -> None: ...
    def forward(
        self, logits: Tensor, targets: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class SmoothL1Loss(Loss):
    """The module of :func:`iouloss.functional.smooth_l1_loss`."""

    beta: float
    reduction: str
    def __init__(self, *, beta: float = 1.0, reduction: str = "mean") -> None: ...
    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class SoftmaxFocalLoss(Loss):
    """The module of :func:`iouloss.functional.softmax_focal_loss`."""

    alpha: Tensor | float | None
    gamma: float
    reduction: str
    ignore_index: int | None
    label_smoothing: float
    class_dim: int
    def __init__(
        self,
        alpha: Tensor | float | None = 0.25,
        gamma: float = 2.0,
        *,
        reduction: str = "mean",
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        class_dim: int = -1,
    ) -> None: ...
    def forward(
        self, logits: Tensor, targets: Tensor, weight: Tensor | None = None, avg_factor: Tensor | float | None = None
    ) -> Tensor: ...
    __call__ = forward

class TverskyLoss(Loss):
    """The module of :func:`iouloss.functional.tversky_loss`."""

    alpha: float
    beta: float
    smooth_numerator: float
    smooth_denominator: float
    activation: str | None
    per: str
    class_weight: Tensor | None
    reduction: str
    ignore_index: int | None
    soft_labels: bool
    def __init__(
        self,
        *,
        alpha: float = 0.5,
        beta: float = 0.5,
        smooth_numerator: float = 1e-05,
        smooth_denominator: float = 1e-05,
        activation: str | None = "sigmoid",
        per: str = "image_class",
        class_weight: Tensor | None = None,
        reduction: str = "mean",
        ignore_index: int | None = None,
        soft_labels: bool = False,
    ) -> None: ...
    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        pixel_weight: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward

class VarifocalLoss(Loss):
    """The module of :func:`iouloss.functional.varifocal_loss`."""

    alpha: float
    gamma: float
    iou_weighted: bool
    differentiable_focus: bool
    reduction: str
    ignore_index: int | None
    class_dim: int
    def __init__(
        self,
        alpha: float = 0.75,
        gamma: float = 2.0,
        *,
        iou_weighted: bool = True,
        differentiable_focus: bool = True,
        reduction: str = "mean",
        ignore_index: int | None = None,
        class_dim: int = -1,
    ) -> None: ...
    def forward(
        self,
        logits: Tensor,
        targets: Tensor,
        weight: Tensor | None = None,
        avg_factor: Tensor | float | None = None,
        scores: Tensor | None = None,
    ) -> Tensor: ...
    __call__ = forward
