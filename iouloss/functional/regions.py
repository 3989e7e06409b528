"""The losses of regions: sums over many pixels make one value."""

from torch import Tensor

from .. import _ops
from .._inputs import region_inputs

__all__ = [
    "dice_loss",
    "focal_tversky_loss",
    "generalized_dice_loss",
    "tversky_loss",
]


def _named(activation: str | None) -> str:
    return "none" if activation is None else activation


def dice_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    power: int = 1,
    smooth_numerator: float = 1e-5,
    smooth_denominator: float = 1e-5,
    activation: str | None = "sigmoid",
    per: str = "image_class",
    class_weight: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    pixel_weight: Tensor | None = None,
    soft_labels: bool = False,
) -> Tensor:
    """Dice loss: ``1 - (2 * sum(p * g) + a) / (sum(p**k) + sum(g**k) + b)``, sums over the pixels of a region.

    ``p`` is the probability of a class at a pixel, ``g`` its target, ``k`` is ``power``, ``a`` and ``b`` are
    ``smooth_numerator`` and ``smooth_denominator``.

    Args:
        logits: ``[N, C, ...]``: images, classes, and any number of spatial dimensions. float64, float32, float16 or
            bfloat16. Any strides. For masks that are images of their own, ``[M, H, W]``, give ``logits[:, None]``.
        targets: either *dense*, of ``logits``' shape and a floating dtype, bool, uint8, int8, int16, int32 or int64,
            with values in [0, 1], hard or soft; or *class indices* of shape ``[N, ...]`` and one of these dtypes that
            is not floating: the target of class ``targets[n, i]`` at pixel ``i`` of image ``n`` is 1, that of the
            others 0. An index outside ``[0, C)`` is background: 0 in every class. The shape tells the two apart.
            Where there is one class, ``C == 1``, its index is 0: a mask ``[N, ...]`` whose object is 1 is no list of
            indices, but dense once it has the dimension of the classes, ``mask[:, None]``. Dense targets that require
            a gradient get one (the call is then served by pure PyTorch).
        power: of probabilities and targets in the denominator: 1, or 2 as in V-Net and mmdetection.
        smooth_numerator, smooth_denominator: finite numbers >= 0. The defaults are MONAI's; mmdetection has
            ``power=2``, 0 and 2e-3, DETR 1 and 1 with ``per="image"``, kornia 0 and 1e-8, V-Net 0 and 0.
        activation: what makes probabilities of logits: ``"sigmoid"``, ``"softmax"`` over the classes of a pixel, or
            None where ``logits`` are probabilities in [0, 1] already.
        per: what has a value of its own: ``"image_class"``, each class of each image (MONAI's default);
            ``"class"``, each class, with sums over the batch (segmentation_models'); ``"image"``, each image, with
            sums over its classes (mmdetection's, DETR's and kornia's); ``"batch"``, all together (MONAI's
            ``batch=True`` is ``"class"``).
        class_weight: a floating tensor ``[C]``. It multiplies the value of a class, and where a value is of several
            classes, what each adds to the sums.
        weight: a floating factor for each value, in the shape that ``reduction="none"`` gives.
        reduction: ``"none"`` gives the values, ``[N, C]``, ``[C]``, ``[N]`` or ``[]`` as ``per`` says; ``"sum"`` their
            sum, ``"mean"`` their sum divided by ``avg_factor``, or by their number where there is none.
        avg_factor: a number, or a tensor of one element on ``logits``' device, which is never read back to the
            host. Only with ``reduction="mean"``. Where it is 0, the loss and its gradient are 0.
        ignore_index: an int. Pixels with this class index count for nothing, whatever is in their logits; None is
            -100. Of dense targets None ignores nothing; a number ignores each element that is equal to it, which adds
            nothing to the sums of its class and has no gradient of its own. Its logit still counts where a softmax
            makes the probabilities of the pixel's other classes of it, but not where all of them are ignored. (Of
            dense targets a number is served by pure PyTorch.)
        pixel_weight: a bool mask or a floating factor for each pixel, ``[N, 1, ...]`` or ``[N, ...]``. It multiplies
            all that the pixel adds to the sums: to the numerator, to the denominator, and to the targets that weigh
            the classes of :func:`generalized_dice_loss`. A pixel whose weight is False or 0 counts for nothing,
            whatever is in it. If it requires a gradient, it gets one. (Served by pure PyTorch.)
        soft_labels: a bool: whether ``sum(min(p, g))`` replaces ``sum(p * g)``, so that the loss is 0 where
            probabilities are equal to soft targets; of hard targets the two are equal. At ``p == g`` it has a kink,
            of which each side counts half. It changes nothing with ``power=2``, where the loss is 0 there anyway.
            (Served by pure PyTorch.)

    Returns:
        The loss, in float64 if ``logits`` or dense ``targets`` are float64, else in float32, in which the
        probabilities are computed. Without values, ``"mean"`` and ``"sum"`` are 0, with a graph.

    Raises:
        TypeError: if an argument's type or dtype is not one of the above.
        ValueError: if a shape, a device, a name or a number is not one of the above.

    Range [0, 1] for ``a <= b``. The loss is smooth but where numerator and denominator are 0: a region without target,
    prediction and smoothing has the loss 0 and the gradient 0. With equal smoothing a region without target and
    prediction has the loss 0. A region without target, whatever is predicted there, has the loss 1 and the gradient 0
    if ``a = 0``; only with a larger ``a`` does it push its probabilities to 0. Finite logits give finite losses and
    gradients. A NaN logit gives NaN, in all of its region. A logit of -inf has the
    probability 0 and the gradient 0; one of inf has 1 and 0 with a sigmoid, and with a softmax gives NaN, as do classes
    that are all -inf. Equal inputs give equal bits from run to run on the same device; nothing synchronises with the
    host.

    Paper: Milletari et al., *V-Net*, arXiv:1606.04797 (``power=2``).

    Example:
        >>> logits = torch.randn(2, 3, 64, 64, requires_grad=True)
        >>> classes = torch.randint(0, 3, (2, 64, 64))
        >>> dice_loss(logits, classes, activation="softmax").backward()
    """
    inputs = region_inputs(
        logits,
        targets,
        weight,
        class_weight,
        avg_factor,
        "dice",
        _named(activation),
        per,
        ignore_index,
        reduction,
        smooth_numerator,
        smooth_denominator,
        power=power,
        pixel_weight=pixel_weight,
        soft_labels=soft_labels,
    )
    return _ops.region_loss(inputs)


def generalized_dice_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    smooth_numerator: float = 1e-5,
    smooth_denominator: float = 1e-5,
    activation: str | None = "softmax",
    per: str = "image",
    class_weight: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    pixel_weight: Tensor | None = None,
    soft_labels: bool = False,
) -> Tensor:
    """Generalized Dice loss: ``1 - (2 * sum(w * I) + a) / (sum(w * S) + b)``, sums over the classes.

    ``I = sum(p * g)`` and ``S = sum(p) + sum(g)`` of a class over its pixels, ``w = 1 / sum(g)**2``: classes count
    alike, however large they are. A class without target (``sum(g)`` below 1e-15) takes the largest weight of the
    others, as in MONAI; where no class has any, all weights are 0, and so are loss (with equal smoothing) and gradient.
    With ``soft_labels``, ``I = sum(min(p, g))``.

    Args:
        per: ``"image"`` gives each image a value (MONAI's default), with weights of its own; ``"batch"`` all together.
        class_weight: a floating tensor ``[C]`` that multiplies ``w``. A class of weight 0 is out: its ``w`` is not
            one that a class without target takes.

    The other arguments, the result, errors and kinks are those of :func:`dice_loss`; the defaults of the smoothing
    are MONAI's. The weights ``w`` are constants of every gradient.

    Paper: Sudre et al., *Generalised Dice overlap as a deep learning loss function for highly unbalanced
    segmentations*, arXiv:1707.03237.
    """
    inputs = region_inputs(
        logits,
        targets,
        weight,
        class_weight,
        avg_factor,
        "generalized_dice",
        _named(activation),
        per,
        ignore_index,
        reduction,
        smooth_numerator,
        smooth_denominator,
        pixel_weight=pixel_weight,
        soft_labels=soft_labels,
    )
    return _ops.region_loss(inputs)


def tversky_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth_numerator: float = 1e-5,
    smooth_denominator: float = 1e-5,
    activation: str | None = "sigmoid",
    per: str = "image_class",
    class_weight: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    pixel_weight: Tensor | None = None,
    soft_labels: bool = False,
) -> Tensor:
    """Tversky loss: ``1 - (TP + a) / (TP + alpha * FP + beta * FN + b)``.

    ``TP = sum(p * g)``, ``FP = sum(p * (1 - g))`` and ``FN = sum((1 - p) * g)`` over the pixels of a region; with
    ``soft_labels``, ``TP = sum(min(p, g))``, ``FP = sum(max(p - g, 0))`` and ``FN = sum(max(g - p, 0))``.

    Args:
        alpha: the weight of false positives, a finite number >= 0. The defaults are those of MONAI and
            segmentation_models, and of Dice; the paper recommends ``alpha=0.3, beta=0.7``.
        beta: the weight of false negatives, a finite number >= 0.

    The other arguments, the result, errors and kinks are those of :func:`dice_loss`; the defaults of the smoothing
    are MONAI's.

    Paper: Salehi et al., *Tversky loss function for image segmentation using 3D fully convolutional deep networks*,
    arXiv:1706.05721.
    """
    inputs = region_inputs(
        logits,
        targets,
        weight,
        class_weight,
        avg_factor,
        "tversky",
        _named(activation),
        per,
        ignore_index,
        reduction,
        smooth_numerator,
        smooth_denominator,
        alpha=alpha,
        beta=beta,
        pixel_weight=pixel_weight,
        soft_labels=soft_labels,
    )
    return _ops.region_loss(inputs)


def focal_tversky_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    gamma: float = 4 / 3,
    smooth_numerator: float = 1e-5,
    smooth_denominator: float = 1e-5,
    activation: str | None = "sigmoid",
    per: str = "image_class",
    class_weight: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    pixel_weight: Tensor | None = None,
    soft_labels: bool = False,
) -> Tensor:
    """Focal Tversky loss: the :func:`tversky_loss` of each region to the power of ``1 / gamma``.

    Args:
        alpha: the weight of false positives, as in :func:`tversky_loss`. The paper has the letters the other way
            round: its alpha = 0.7 is for false negatives. The default is its choice.
        beta: the weight of false negatives.
        gamma: a finite number > 0. Above 1 the exponent is below 1, as in the paper. segmentation_models takes the
            exponent itself for its ``gamma``, and of the mean over the classes: ``gamma=0.75`` there is 4/3 here.

    At a Tversky loss of 0 a root has an infinite derivative; the gradient there is 0, as it is for every other
    ``gamma`` but 1. A Tversky loss below 0, which takes a ``smooth_numerator`` above ``smooth_denominator``, counts
    as 0. The other arguments, the result, errors and kinks are those of :func:`dice_loss`; the defaults of the
    smoothing are MONAI's.

    Paper: Abraham and Khan, *A novel focal Tversky loss function with improved attention U-Net for lesion
    segmentation*, arXiv:1810.07842.
    """
    inputs = region_inputs(
        logits,
        targets,
        weight,
        class_weight,
        avg_factor,
        "tversky",
        _named(activation),
        per,
        ignore_index,
        reduction,
        smooth_numerator,
        smooth_denominator,
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        pixel_weight=pixel_weight,
        soft_labels=soft_labels,
    )
    return _ops.region_loss(inputs)
