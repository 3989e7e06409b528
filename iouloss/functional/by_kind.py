"""Any loss of paired boxes, by its kind."""

from collections.abc import Callable
from inspect import signature
from typing import Any

from torch import Tensor

from ..checks.boxes import ONE_PLACE, check_eps_mode
from ..checks.numbers import check_choice
from . import boxes

__all__ = ["box_loss"]


def box_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    kind: str = "ciou",
    mask: Tensor | None = None,
    reduction: str = "mean",
    avg_factor: Tensor | float | None = None,
    fmt: str = "xyxy",
    eps: float | None = None,
    eps_mode: str = "torchvision",
    **parameters: str | float,
) -> Tensor:
    """Loss of paired boxes, by name. What is said here holds for every box loss.

    Args:
        pred: predicted boxes ``[..., 4]``; float64, float32, float16 or bfloat16. Any unit of length: the losses do
            not depend on it but for ``eps``. Any strides. Boxes are taken as they are: a box with ``x2 < x1`` is not
            put right, and counts as one of negative width.
        target: the boxes to match, of ``pred``'s shape and device; may differ in dtype. It gets a gradient if it
            requires one.
        weight: ``[...]``, a floating factor for each box's loss. If it requires a gradient, it gets one (the call
            is then served by pure PyTorch).
        mask: which boxes count, as a bool tensor ``[...]``, or as a list ``[K]`` of int64 indices into the boxes in
            their order (those that are no box count for nothing, those given twice count once). The others have loss
            0 and gradient 0, whatever is in them: no gather, no ``nonzero`` and no synchronisation is needed.
        kind: ``"iou"``, ``"giou"``, ``"diou"``, ``"ciou"``, ``"eiou"``, ``"siou"``, ``"focal_eiou"``, ``"cdiou"`` or
            ``"bounded_iou"``.
        reduction: ``"none"`` gives the losses ``[...]``, ``"sum"`` their sum, ``"mean"`` their sum divided by
            ``avg_factor``, or by the number of boxes that count where there is none (not by the sum of the weights).
        avg_factor: a number, or a tensor of one element on ``pred``'s device, which is never read back to the host.
            Only with ``reduction="mean"``. Where it is 0, the loss and its gradient are 0.
        fmt: what four numbers a box is, of ``pred`` and ``target`` alike: ``"xyxy"`` two corners, ``"xywh"`` the
            top-left corner and the size, ``"cxcywh"`` the centre and the size. Gradients come in the same form.
        eps: a number >= 0 that is added to the denominators, as torchvision places it: to the union, the enclosing
            area and the squared lengths (so it is an area), and to the denominator of CIoU's alpha. Bounded IoU adds
            it to lengths. None is the loss's own default: 1e-3 for :func:`bounded_iou_loss`, else 1e-7.
        eps_mode: whose placement of ``eps`` it is, for numbers that match a library's (below).
        **parameters: those of the loss: ``mode`` of :func:`iou_loss`, ``theta`` of :func:`siou_loss`, ``gamma`` of
            :func:`focal_eiou_loss`, ``base`` and ``lambda_`` of :func:`cdiou_loss`, ``beta`` of
            :func:`bounded_iou_loss`.

    Returns:
        The loss, in float64 if ``pred`` or ``target`` is float64, else in float32, in which it is computed.
        Without boxes, ``"mean"`` and ``"sum"`` are 0, with a graph.

    Raises:
        TypeError: if an argument's type or dtype is not one of the above, or a parameter is not one of the loss's.
        ValueError: if a shape, a device, a name or a number is not one of the above.

    **Degenerate boxes.** A finite box has a finite loss and a finite gradient, be it a line, a point, inverted, tiny
    or huge: 0/0 is taken as 0, and what overflows as the largest finite number. A box with a NaN or Inf coordinate
    has the loss NaN and the gradient NaN. A gradient beyond the range of float16 is Inf in float16 boxes, and an
    infinite gradient from upstream stays one: a gradient scaler sees both.

    **Kinks.** Where two edges coincide, the minimum and the maximum pass half of the gradient to each, so that the
    gradient of every loss but CDIoU's distance is 0 at ``pred == target`` up to ``eps``. Boxes that only touch do
    not intersect: their IoU is 0 with gradient 0.

    **Placement of eps.** ``"torchvision"``, also that of detectron2, fvcore and MONAI, is what the kernels compute and
    every loss has. Models trained elsewhere find theirs under another name, served by pure PyTorch on any device:

    - ``"torchvision_exact"``: CIoU takes 1e-7 for ``eps`` but in alpha, as torchvision's does.
    - ``"mmdet"`` (IoU, GIoU, DIoU, CIoU): IoU is raised to ``eps``, its union to 1e-6; GIoU's areas are raised to
      ``eps``; CIoU has ``h + eps`` in its angles, no ``eps`` in alpha, alpha 0 where IoU <= 1/2, and ends at 2.
    - ``"mmyolo"`` (linear IoU, GIoU, CIoU): CIoU has ``h + eps`` in its angles, and every loss ends at 2.
    - ``"ultralytics"`` (linear IoU, GIoU, DIoU, CIoU), also that of YOLOv5 and YOLOv6: with ``fmt="xyxy"``, ``eps``
      is added to the boxes' heights, so to their areas and angles, as well as to the union.

    Where a library gives NaN (CIoU of equal boxes in mmdet), 0/0 is 0 here too. Bounded IoU has one placement, which
    is the default.

    **Determinism.** Equal inputs give equal bits from run to run on the same device. Nothing synchronises with the
    host; calls can be captured in a CUDA graph and compiled by ``torch.compile`` as a whole.

    Example:
        >>> pred = torch.tensor([[12.0, 20.0, 48.0, 75.0]], requires_grad=True)
        >>> target = torch.tensor([[10.0, 20.0, 50.0, 80.0]])
        >>> box_loss(pred, target, kind="giou").backward()
    """
    check_choice("kind", kind, _LOSSES)
    loss, own = _LOSSES[kind]
    for name in parameters:
        if name not in own:
            raise TypeError(f"box_loss(kind={kind!r}): got an unexpected parameter {name!r}")
    options: dict[str, Any] = {"reduction": reduction, "avg_factor": avg_factor, "fmt": fmt, **parameters}
    if eps is not None:
        options["eps"] = eps
    if kind in ONE_PLACE:
        check_eps_mode(eps_mode, kind)
    else:
        options["eps_mode"] = eps_mode
    return loss(pred, target, weight, mask=mask, **options)


def _own(function: Callable[..., Tensor]) -> tuple[Callable[..., Tensor], set[str]]:
    """A loss, and the parameters that it has beside those of all box losses."""
    return function, signature(function).parameters.keys() - signature(box_loss).parameters.keys()


_LOSSES = {name.removesuffix("_loss"): _own(getattr(boxes, name)) for name in boxes.__all__}
