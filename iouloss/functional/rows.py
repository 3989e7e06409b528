"""The losses on rows of logits: C logits and a target to one value."""

from torch import Tensor

from .. import _ops
from .._inputs import row_inputs
from ..checks.numbers import check_not_negative, check_positive

__all__ = [
    "cross_entropy_loss",
    "distribution_focal_loss",
    "entropy_loss",
    "kl_div_loss",
    "softmax_focal_loss",
]


def softmax_focal_loss(
    logits: Tensor,
    targets: Tensor,
    alpha: Tensor | float | None = 0.25,
    gamma: float = 2.0,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    class_dim: int = -1,
) -> Tensor:
    """Softmax focal loss: ``alpha_t * (1 - p_t)**gamma * CE`` of each row of logits and its class ``t``.

    - ``p = softmax(x)``, ``CE = -log p_t``
    - with ``label_smoothing`` s, ``alpha_t * CE`` becomes ``(1 - s) * alpha_t * CE - s / C * sum_c alpha_c * log p_c``;
      the focal factor stays that of the class
    - of *many-hot* targets ``z`` each class is one ``t``: the loss is the sum of their losses, times ``z_t``

    Args:
        logits: ``[..., C]``, or with the classes in any other dimension; float64, float32, float16 or bfloat16. Any
            strides: the classes of ``[N, C, H, W]`` (``class_dim=1``) are taken where they are.
        targets: either *class indices*, bool, uint8, int8, int16, int32 or int64, of ``logits``' shape without the
            classes: the class of each row. A row whose index is outside ``[0, C)`` has neither loss nor gradient. Or
            *dense*, many-hot, of ``logits``' shape, in any of those dtypes or a floating one: numbers >= 0. These are
            served by pure PyTorch, on every device, and get a gradient if they require one.
        alpha: a factor for every class: a finite number >= 0, a floating tensor ``[C]`` with one per class, or None
            for 1.
        gamma: a finite number >= 0; 0 gives the cross entropy.
        weight: a floating factor for each row, of ``logits``' shape without the classes.
        reduction: ``"none"`` gives a loss for each row, ``"sum"`` their sum, ``"mean"`` their sum divided by
            ``avg_factor``, or by the number of rows whose index is a class and not ``ignore_index``; of dense targets
            by the number of rows.
        avg_factor: a number, or a tensor of one element on ``logits``' device, which is never read back to the host.
            Only with ``reduction="mean"``. Where it is 0, the loss and its gradient are 0.
        ignore_index: rows with this index have neither loss nor gradient, whatever is in them. None is -100.
            With dense targets it must be None.
        label_smoothing: a number in [0, 1].
        class_dim: the dimension of the classes.

    Returns:
        The loss, in float64 if ``logits`` or dense targets are float64, else in float32, in which it is computed.
        Without rows, ``"mean"`` and ``"sum"`` are 0, with a graph.

    Raises:
        TypeError: if an argument's type or dtype is not one of the above.
        ValueError: if a shape, a device, a name or a number is not one of the above.

    Range [0, inf). The loss is smooth and has no kink; with one class it is 0. ``1 - p_t`` is never formed: the loss is
    one of ``logsumexp(others) - x_t``. So value and gradient keep their relative precision for confident logits, right
    or wrong, and are finite for every finite logit and every ``gamma``, below 1 too. A NaN logit makes its row NaN. A
    logit of -inf is an impossible class: the loss is infinite if the target is that class or, smoothed, gives it a
    share; otherwise the loss is the same as without the class.
    Equal inputs give equal bits from run to run on the same device; nothing synchronises with the host.

    Paper: Lin et al., *Focal Loss for Dense Object Detection*, arXiv:1708.02002.

    Example:
        >>> logits = torch.randn(2, 21, 32, 32, requires_grad=True)
        >>> classes = torch.randint(0, 21, (2, 32, 32))
        >>> softmax_focal_loss(logits, classes, class_dim=1).backward()
    """
    of_all, of_class = (1.0, alpha) if alpha is None or isinstance(alpha, Tensor) else (alpha, None)
    check_not_negative("alpha", of_all, ", a tensor [C] or None")
    inputs = row_inputs(
        logits,
        targets,
        weight,
        avg_factor,
        "softmax_focal",
        ignore_index,
        reduction,
        class_dim,
        class_weight=of_class,
        alpha=of_all,
        gamma=gamma,
        label_smoothing=label_smoothing,
    )
    return _ops.row_loss(inputs)


def cross_entropy_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    class_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    poly_epsilon: float = 0.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Cross entropy of class indices or probabilities, with label smoothing and Poly-1.

    - of the class ``t``: ``w_t * -log p_t``; of probabilities ``q``: ``sum_c w_c * q_c * -log p_c``
    - with ``label_smoothing`` s the probabilities, 1 for the class and 0 for the others, become ``(1 - s) * q + s / C``
    - ``poly_epsilon`` adds ``poly_epsilon * sum_c w_c * q_c * (1 - p_c)``: Poly-1

    Args:
        logits: as in :func:`softmax_focal_loss`.
        targets: either *class indices*, as in :func:`softmax_focal_loss`; or *dense*, probabilities (or one-hot), of
            ``logits``' shape and in a floating or one of the integer dtypes. They need not add up to 1. They are served
            by pure PyTorch, on every device, and get a gradient if they require one.
        class_weight: a floating factor for each class, ``[C]``.
        label_smoothing: a number in [0, 1].
        poly_epsilon: a finite number; the paper finds 2 for ImageNet and -1 for COCO.
        weight: a floating factor for each row, of ``logits``' shape without the classes.
        reduction: ``"none"`` gives a loss for each row, ``"sum"`` their sum, ``"mean"`` their sum divided by
            ``avg_factor``; without it, by what ``torch.nn.functional.cross_entropy`` divides by: the weights of the
            classes of the rows that count, added up; of probabilities, the number of rows. Where no row counts, the
            loss and its gradient are 0.
        avg_factor: as in :func:`softmax_focal_loss`.
        ignore_index: rows with this index have neither loss nor gradient, whatever is in them. None is -100.
            With probabilities it must be None.
        class_dim: the dimension of the classes. ``torch.nn.functional.cross_entropy`` has them in dimension 1.

    Returns:
        The loss, as from :func:`softmax_focal_loss`.

    Raises:
        TypeError: if an argument's type or dtype is not one of the above.
        ValueError: if a shape, a device, a name or a number is not one of the above.

    Range [0, inf) for ``poly_epsilon >= 0``. Smooth, and with the precision of :func:`softmax_focal_loss`. An index
    outside ``[0, C)``, where torch fails, gives a row neither loss nor gradient.

    Papers: Szegedy et al., *Rethinking the Inception Architecture*, arXiv:1512.00567 (smoothing); Leng et al.,
    *PolyLoss*, arXiv:2204.12511.

    Example:
        >>> logits = torch.randn(8, 80, requires_grad=True)
        >>> cross_entropy_loss(logits, torch.randint(0, 80, (8,)), label_smoothing=0.1).backward()
    """
    inputs = row_inputs(
        logits,
        targets,
        weight,
        avg_factor,
        "cross_entropy",
        ignore_index,
        reduction,
        class_dim,
        class_weight=class_weight,
        label_smoothing=label_smoothing,
        poly_epsilon=poly_epsilon,
    )
    return _ops.row_loss(inputs)


def distribution_focal_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Distribution focal loss: the cross entropy of the two bins about a place ``y``, shared between them.

    ``(i + 1 - y) * -log p_i + (y - i) * -log p_{i+1}`` with ``p = softmax(x)`` and ``i = floor(y)``.

    Args:
        logits: ``[..., bins]``, or with the bins in any other dimension; float64, float32, float16 or bfloat16. Any
            strides.
        targets: the place of each row, in bins; of a floating dtype and ``logits``' shape without the bins. One below
            0 counts as 0, one beyond ``bins - 1`` as ``bins - 1``: all weight on the last bin. The tensor is not
            changed.
        weight: a floating factor for each row, of ``targets``' shape.
        reduction: ``"none"`` gives the losses in ``targets``' shape, ``"sum"`` their sum, ``"mean"`` their sum divided
            by ``avg_factor``, or by their number.
        avg_factor: a number, or a tensor of one element on ``logits``' device, which is never read back to the host.
            Only with ``reduction="mean"``. Where it is 0, the loss and its gradient are 0.
        class_dim: the dimension of the bins.

    Returns:
        The loss, in float64 if ``logits`` or ``targets`` are float64, else in float32, in which it is computed.
        Without rows, ``"mean"`` and ``"sum"`` are 0, with a graph.

    Raises:
        TypeError: if an argument's type or dtype is not one of the above.
        ValueError: if a shape, a device, a name or a number is not one of the above.

    Range: from the entropy of the two shares up. Smooth in the logits; in the places it has a kink at every bin.
    Targets that require a gradient get one (the call is then served by pure PyTorch).
    Finite for finite logits. A NaN logit or target makes its row NaN.

    Paper: Li et al., *Generalized Focal Loss*, arXiv:2006.04388.

    Example:
        >>> logits = torch.randn(8, 4, 16, requires_grad=True)
        >>> distribution_focal_loss(logits, 15 * torch.rand(8, 4)).backward()
    """
    inputs = row_inputs(logits, targets, weight, avg_factor, "distribution_focal", None, reduction, class_dim)
    return _ops.row_loss(inputs)


def kl_div_loss(
    logits: Tensor,
    targets: Tensor,
    *,
    temperature: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Kullback-Leibler divergence of ``softmax(logits / T)`` from given probabilities: ``T**2 * sum q log(q / p)``.

    The factor ``T**2`` keeps the size of the gradient, as in distillation; the probabilities are taken as they are.

    Args:
        logits: ``[..., C]``, or with the classes in any other dimension; float64, float32, float16 or bfloat16. Any
            strides.
        targets: the probabilities ``q`` of each row, of ``logits``' shape and a floating dtype. They are numbers >= 0,
            and need not add up to 1; one that is 0 adds nothing, and a negative one makes the loss huge, but finite
            (:func:`iouloss.checking` refuses it). Any strides.
        temperature: ``T``, a finite number > 0.
        weight: a floating factor for each row, of ``logits``' shape without the classes.
        reduction: ``"none"`` gives a loss for each row, ``"sum"`` their sum, ``"mean"`` their sum divided by
            ``avg_factor``, or by their number (not by the number of probabilities, as ``torch.nn.functional.kl_div``
            does); ``"batchmean"`` their sum divided by ``logits.shape[0]``.
        avg_factor: as in :func:`distribution_focal_loss`.
        class_dim: the dimension of the classes.

    Returns:
        The loss, in float64 if ``logits`` or ``targets`` are float64, else in float32, in which it is computed.
        Without rows, the reduced loss is 0, with a graph.

    Raises:
        TypeError: if an argument's type or dtype is not one of the above.
        ValueError: if a shape, a device, a name or a number is not one of the above.

    Range [0, inf) for probabilities that add up to 1; 0 where the two agree. Smooth in the logits. Targets that
    require a gradient get one (the call is then served by pure PyTorch).

    Paper: Hinton et al., *Distilling the Knowledge in a Neural Network*, arXiv:1503.02531.

    Example:
        >>> teacher, student = torch.randn(8, 80), torch.randn(8, 80, requires_grad=True)
        >>> kl_div_loss(student, (teacher / 4).softmax(-1), temperature=4.0).backward()
    """
    check_positive("temperature", temperature)
    check_positive("temperature ** 2", temperature * temperature)
    of_batch = isinstance(reduction, str) and reduction == "batchmean"
    if of_batch and avg_factor is None and isinstance(logits, Tensor) and logits.ndim > 0:
        reduction, avg_factor = "mean", logits.size(0)  # a nested tensor has it too
    inputs = row_inputs(
        logits, targets, weight, avg_factor, "kl_div", None, reduction, class_dim, temperature=temperature
    )
    return _ops.row_loss(inputs)


def entropy_loss(
    logits: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    class_dim: int = -1,
) -> Tensor:
    """Entropy of ``p = softmax(x)`` in each row: ``-sum p log p``.

    Args:
        logits: ``[..., C]``, or with the classes in any other dimension; float64, float32, float16 or bfloat16. Any
            strides.
        weight: a floating factor for each row, of ``logits``' shape without the classes.
        reduction: as in :func:`distribution_focal_loss`.
        avg_factor: as in :func:`distribution_focal_loss`.
        class_dim: the dimension of the classes.

    Returns:
        The loss, in float64 if ``logits`` are float64, else in float32, in which it is computed. Without rows,
        ``"mean"`` and ``"sum"`` are 0, with a graph.

    Raises:
        TypeError: if an argument's type or dtype is not one of the above.
        ValueError: if a shape, a device, a name or a number is not one of the above.

    Range [0, log C]. Smooth, finite for finite logits; logits of -inf have probability 0 and no gradient.

    Paper: Grandvalet and Bengio, *Semi-supervised Learning by Entropy Minimization*, NIPS 2004.

    Example:
        >>> entropy_loss(torch.randn(8, 80, requires_grad=True)).backward()
    """
    inputs = row_inputs(logits, None, weight, avg_factor, "entropy", None, reduction, class_dim)
    return _ops.row_loss(inputs)
