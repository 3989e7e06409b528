"""A call of every kernel with all the tensors that it takes. A test may give each tensor any layout."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from cases import random_boxes, random_logits, to_format, uniform
from torch import Tensor

import iouloss

A, B, C = 3, 4, 5  # rows, and classes
S = (2, 3)  # pixels of an image
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
MASKS = (torch.bool, *INTEGERS)


@dataclass(frozen=True)
class Given:
    """A tensor that a call takes: its shape, its values (to be repeated where there are more elements), its dtypes."""

    shape: Sequence[int]
    values: Tensor
    dtypes: Sequence[torch.dtype] = FLOATS


def _boxes(fmt: str, seed: int) -> Given:
    pred, target = random_boxes(A * B, 100.0, seed=3)
    return Given((A, B, 4), to_format((pred, target)[seed], fmt))


def _logits(*shape: int) -> Given:
    return Given(shape, random_logits(*shape))


def _shares(*shape: int, seed: int = 1) -> Given:
    return Given(shape, uniform(*shape, seed=seed))


def _weights(*shape: int) -> Given:
    return Given(shape, 0.5 + uniform(*shape, seed=5))


def _classes(*shape: int) -> Given:
    return Given(shape, torch.arange(7 * C) * 3 % (C + 1), INTEGERS)


def _mask(*shape: int) -> Given:
    return Given(shape, torch.arange(16) * 5 % 7 < 3, (torch.bool,))


def _dense(*shape: int) -> Given:
    return Given(shape, torch.arange(16) * 5 % 7 < 3, MASKS)


@dataclass(frozen=True)
class Call:
    name: str
    function: Callable[..., Tensor]
    tensors: dict[str, Given]
    options: dict[str, Any] = field(default_factory=dict)
    by: tuple[str, ...] = ("logits",)  # the tensors that get a gradient

    def __call__(self, **tensors: Tensor) -> Tensor:
        return self.function(**tensors, **self.options)


def _pairs() -> list[Call]:
    calls = []
    for kind, fmt in (("ciou", "xyxy"), ("eiou", "xywh"), ("giou", "cxcywh"), ("bounded_iou", "xyxy")):
        tensors = {"pred": _boxes(fmt, 0), "target": _boxes(fmt, 1), "weight": _weights(A, B), "mask": _mask(A, B)}
        calls.append(Call(kind, iouloss.box_loss, tensors, {"kind": kind, "fmt": fmt}, ("pred", "target")))
    return calls


def _elements() -> list[Call]:
    x, z = _logits(A, B, C), _shares(A, B, C)
    dense = {"logits": x, "targets": z, "weight": _weights(A, B, C)}
    integers = {"logits": x, "targets": _dense(A, B, C), "weight": _weights(A, B)}
    index = {"logits": x, "targets": _classes(A, B), "weight": _weights(A, B)}
    alpha, focal = _shares(C, seed=6), iouloss.sigmoid_focal_loss
    return [
        Call("focal", focal, dense | {"alpha": alpha}),
        Call("focal-integers", focal, integers, {"gamma": 1.5}),
        Call("focal-index", focal, index | {"alpha": alpha}),
        Call("quality-scores", iouloss.quality_focal_loss, index | {"scores": _shares(A, B)}),
        Call("equalized", iouloss.equalized_focal_loss, index | {"balance": alpha}),
        Call("bce", iouloss.binary_cross_entropy_loss, dense | {"pos_weight": _weights(C)}),
        Call("varifocal", iouloss.varifocal_loss, dense),
        Call("asymmetric", iouloss.asymmetric_loss, integers),
        Call("binary_entropy", iouloss.binary_entropy_loss, {"logits": x, "weight": _weights(A, B)}),
        Call(
            "smooth_l1",
            iouloss.smooth_l1_loss,
            {"pred": x, "target": z, "weight": _weights(A, B)},
            by=("pred", "target"),
        ),
    ]


def _rows() -> list[Call]:
    calls = []
    for dim, shape in ((-1, (A, B, C)), (1, (A, C, B)), (0, (C, A, B))):
        options = {"class_dim": dim}
        x, weight, index = _logits(*shape), _weights(A, B), _classes(A, B)
        of_class = {"logits": x, "targets": index, "weight": weight}
        weighted = of_class | {"class_weight": _weights(C)}
        calls += [
            Call(f"softmax_focal-{dim}", iouloss.softmax_focal_loss, of_class | {"alpha": _weights(C)}, options),
            Call(f"cross_entropy-{dim}", iouloss.cross_entropy_loss, weighted, options | {"label_smoothing": 0.1}),
            Call(
                f"distribution-{dim}",
                iouloss.distribution_focal_loss,
                {"logits": x, "targets": Given((A, B), uniform(A, B, seed=2) * (C - 1)), "weight": weight},
                options,
            ),
            Call(
                f"kl_div-{dim}",
                iouloss.kl_div_loss,
                {"logits": x, "targets": _shares(*shape), "weight": weight},
                options,
            ),
            Call(f"entropy-{dim}", iouloss.entropy_loss, {"logits": x, "weight": weight}, options),
        ]
    images = {"logits": _logits(2, C, *S), "targets": _classes(2, *S), "weight": _weights(2, *S)}
    calls.append(Call("cross_entropy-images", iouloss.cross_entropy_loss, images, {"class_dim": 1}))
    images |= {"targets": _shares(2, C, *S)}
    calls.append(Call("kl_div-images", iouloss.kl_div_loss, images, {"class_dim": 1}))
    return calls


def _regions() -> list[Call]:
    x, dense, mask = _logits(2, C, *S), _shares(2, C, *S), _dense(2, C, *S)
    index, beside = _classes(2, *S), {"class_weight": _weights(C)}
    softmax = {"activation": "softmax"}
    return [
        Call("dice", iouloss.dice_loss, {"logits": x, "targets": dense, "weight": _weights(2, C)} | beside),
        Call("dice-integers", iouloss.dice_loss, {"logits": x, "targets": mask} | beside, {"power": 2}),
        Call("dice-index", iouloss.dice_loss, {"logits": x, "targets": index} | beside, softmax | {"per": "image"}),
        Call("softmax-integers", iouloss.tversky_loss, {"logits": x, "targets": mask}, softmax),
        Call("generalized", iouloss.generalized_dice_loss, {"logits": x, "targets": dense} | beside),
    ]


CALLS = (*_pairs(), *_elements(), *_rows(), *_regions())
