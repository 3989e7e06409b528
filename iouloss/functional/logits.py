"""The losses of single logits."""

from torch import Tensor

from .. import _ops


def sigmoid_focal_loss(
    logits: Tensor,
    targets: Tensor,
    alpha: Tensor | float | None = 0.25,
    gamma: float = 2.0,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    ignore_index: int = -100,
) -> Tensor:
    """Sigmoid focal loss: ``alpha_t * q**gamma * BCE`` of each logit ``x`` and its target ``z``.

    - ``BCE = z * softplus(-x) + (1 - z) * softplus(x)``
    - ``q = z * sigmoid(-x) + (1 - z) * sigmoid(x)``, the error of the probability; ``1 - p_t`` in the paper
    - ``alpha_t = alpha * z + (1 - alpha) * (1 - z)``, or 1 without ``alpha``

    Args:
        logits: ``[..., C]`` (any shape with dense targets); float64, float32, float16 or bfloat16. Any strides.
        targets: either *dense*, of ``logits``' shape and a floating dtype, with values in [0, 1], hard or soft; or
            *class indices*, int64 of shape ``[...]``: row ``i`` of the logits has the target 1 in column
            ``targets[i]`` and 0 elsewhere. An index outside ``[0, C)`` is background: 0 in every column. Dense
            targets that require a gradient get one (the call is then served by pure PyTorch).
        alpha: the share of the positives: a number in [0, 1], a floating tensor ``[C]`` with one per class, or None.
        gamma: a finite number >= 0; 0 gives the (balanced) cross entropy.
        weight: a floating factor for each loss: of ``logits``' shape, or one per row, ``logits.shape[:-1]``.
        reduction: ``"none"`` gives the losses in ``logits``' shape, ``"sum"`` their sum, ``"mean"`` their sum
            divided by ``avg_factor``, or by the number of logits that are not in ignored rows where there is none.
        avg_factor: a number, or a tensor of one element on ``logits``' device, which is never read back to the
            host. Only with ``reduction="mean"``. Where it is 0, the loss and its gradient are 0.
        ignore_index: rows with this class index have neither loss nor gradient. Dense targets know none.

    Returns:
        The loss, in float64 if ``logits`` or dense ``targets`` are float64, else in float32, in which it is
        computed. Without logits, ``"mean"`` and ``"sum"`` are 0, with a graph.

    Raises:
        TypeError: if an argument's type or dtype is not one of the above.
        ValueError: if a shape, a device, a name or a number is not one of the above.

    Range [0, inf). The loss is smooth in ``x`` and has no kink. Computed without ``1 - p``: value and gradient keep
    their relative precision for confident logits, right or wrong, and are finite for every finite logit and every
    ``gamma``, below 1 too. A NaN logit gives NaN. Equal inputs give equal bits from run to run on the same device;
    nothing synchronises with the host.

    Paper: Lin et al., *Focal Loss for Dense Object Detection*, arXiv:1708.02002.

    Example:
        >>> logits = torch.randn(8, 80, requires_grad=True)
        >>> classes = torch.randint(0, 81, (8,))  # 80 is background
        >>> positives = (classes < 80).sum().clamp(min=1)
        >>> sigmoid_focal_loss(logits, classes, avg_factor=positives).backward()
    """
    return _ops.sigmoid_focal_loss(logits, targets, weight, avg_factor, alpha, gamma, reduction, ignore_index)
