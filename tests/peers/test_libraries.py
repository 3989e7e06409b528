"""Equal to kornia, MONAI and segmentation-models-pytorch, where they have the loss and the targets are hard.

``make libraries`` runs it where they are. The options of a pair are those that make the two equal; what no option
makes equal is said in a comment, and kept out.
"""

import importlib
import importlib.util
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import pytest
import torch
from backends import Backend
from cases import evaluate, random_boxes, uniform
from torch import Tensor

import iouloss

pytestmark = pytest.mark.libraries

MODULES = {"kornia": "kornia.losses", "monai": "monai.losses", "smp": "segmentation_models_pytorch.losses"}

IMAGES, CLASSES, HEIGHT, WIDTH = 3, 4, 9, 11
AREA = HEIGHT * WIDTH
PIXELS = IMAGES * AREA
IGNORED = 255
WEIGHTS = [0.5, 1.0, 2.0, 3.0]  # of the classes

Options = dict[str, Any]  # lists become tensors


class Case(NamedTuple):
    library: str
    name: str  # of a function, or of a class, which is called with the options
    their_options: Options
    targets: str  # masks; classes; or ignored: classes, and pixels that are to be ignored
    ours: Callable[..., Tensor]
    options: Options

    def __str__(self) -> str:
        return f"{self.library}.{self.name}({', '.join(f'{key}={value}' for key, value in self.their_options.items())})"

    def theirs(self) -> Callable[[Tensor, Tensor], Tensor]:
        function = attrgetter(self.name)(losses_of(self.library))
        options = tensors(self.their_options)
        return function(**options) if isinstance(function, type) else partial(function, **options)


def losses_of(library: str) -> Any:
    """The module. Where the library is missing there is nothing to test; where it does not load there is."""
    module = MODULES[library]
    package = module.split(".")[0]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed; `make libraries` installs it and runs this test")
    return importlib.import_module(module)


def tensors(options: Options, device: str = "cpu") -> Options:
    return {
        key: torch.tensor(value, device=device) if isinstance(value, list) else value for key, value in options.items()
    }


FOCAL, SOFTMAX_FOCAL = iouloss.sigmoid_focal_loss, iouloss.softmax_focal_loss
DICE, GENERALIZED = iouloss.dice_loss, iouloss.generalized_dice_loss
TVERSKY, FOCAL_TVERSKY = iouloss.tversky_loss, iouloss.focal_tversky_loss
ENTROPY, BINARY_ENTROPY = iouloss.cross_entropy_loss, iouloss.binary_cross_entropy_loss


def focal_of_classes(logits: Tensor, classes: Tensor, **options: Any) -> Tensor:
    return FOCAL(logits.movedim(1, -1), classes, **options)


SUM, MEAN, NONE = {"reduction": "sum"}, {"reduction": "mean"}, {"reduction": "none"}
IGNORE = {"ignore_index": IGNORED}
STEEP = {"alpha": None, "gamma": 0.5}
SHARES = {"alpha": 0.3, "beta": 0.7}
WEIGHTED = {"class_weight": WEIGHTS}
SOFTMAX = {"activation": "softmax"}
ROWS = {"class_dim": 1}
# In kornia and MONAI a number for alpha is not for the first class of a softmax, which has 1 - alpha.
NOT_THE_FIRST = ROWS | {"alpha": [0.75, 0.25, 0.25, 0.25]}
# There the mean of a softmax's is of all logits, ours of the pixels that count; MONAI's is that too if it has an
# ignore_index.
OF_LOGITS = {"avg_factor": PIXELS * CLASSES}

# kornia: losses of regions are of a softmax. eps is in the denominator alone. "macro" and Tversky are means over the
# classes that an image has, ours over all: here every image has them all. A focal mean counts the ignored.
MICRO = SOFTMAX | {"per": "image", "smooth_numerator": 0, "smooth_denominator": 1e-8}
MACRO = MICRO | {"per": "image_class"}
OF_WEIGHTS = {"avg_factor": IMAGES * sum(WEIGHTS)}
KORNIA = [
    ("binary_focal_loss_with_logits", NONE, "masks", FOCAL, NONE),
    ("binary_focal_loss_with_logits", STEEP | MEAN, "masks", FOCAL, STEEP),
    ("focal_loss", {"alpha": 0.25} | SUM, "classes", SOFTMAX_FOCAL, NOT_THE_FIRST | SUM),
    ("focal_loss", STEEP | MEAN | IGNORE, "ignored", SOFTMAX_FOCAL, STEEP | ROWS | OF_LOGITS | IGNORE),
    ("focal_loss", {"alpha": None, "weight": WEIGHTS} | SUM, "classes", SOFTMAX_FOCAL, ROWS | SUM | {"alpha": WEIGHTS}),
    ("dice_loss", {}, "classes", DICE, MICRO),
    ("dice_loss", {"weight": WEIGHTS} | IGNORE, "ignored", DICE, MICRO | WEIGHTED | IGNORE),
    ("dice_loss", {"average": "macro"}, "classes", DICE, MACRO),
    (
        "dice_loss",
        {"average": "macro", "weight": WEIGHTS} | IGNORE,
        "ignored",
        DICE,
        MACRO | WEIGHTED | OF_WEIGHTS | IGNORE,
    ),
    ("tversky_loss", SHARES | IGNORE, "ignored", TVERSKY, MACRO | SHARES | IGNORE),
]

# MONAI: the smoothing is our default. alpha for each class of a sigmoid, which is not here, is for the positives alone;
# the negatives have 1, ours 1 - alpha. A "sum" of focal losses is that of the means of every class of every image.
SIGMOID, INDICES = {"sigmoid": True}, {"softmax": True, "to_onehot_y": True}
ROW_INDICES = {"use_softmax": True, "to_onehot_y": True}
SQUARE, BY_CLASS = {"squared_pred": True}, {"batch": True}
FOREGROUND = {"class_weight": [0.0, 1.0, 1.0, 1.0], "avg_factor": IMAGES * (CLASSES - 1)}
ALPHAS = {"alpha": WEIGHTS, "gamma": 1.5}
MONAI = [
    ("FocalLoss", {"alpha": 0.25} | NONE, "masks", FOCAL, NONE),
    ("FocalLoss", {"gamma": 0.5}, "masks", FOCAL, STEEP),
    ("FocalLoss", {"alpha": 0.25} | SUM, "masks", FOCAL, {"avg_factor": AREA}),
    ("FocalLoss", {"alpha": 0.25} | ROW_INDICES, "classes", SOFTMAX_FOCAL, NOT_THE_FIRST | OF_LOGITS),
    ("FocalLoss", ALPHAS | ROW_INDICES | IGNORE, "ignored", SOFTMAX_FOCAL, ALPHAS | ROWS | IGNORE),
    ("DiceLoss", SIGMOID | NONE, "masks", DICE, NONE),
    ("DiceLoss", SIGMOID | SQUARE, "masks", DICE, {"power": 2}),
    ("DiceLoss", SIGMOID | SQUARE | BY_CLASS | SUM, "masks", DICE, SUM | {"power": 2, "per": "class"}),
    ("DiceLoss", INDICES, "classes", DICE, SOFTMAX),
    ("DiceLoss", INDICES | IGNORE | {"weight": WEIGHTS}, "ignored", DICE, SOFTMAX | IGNORE | WEIGHTED),
    ("DiceLoss", INDICES | {"include_background": False}, "classes", DICE, SOFTMAX | FOREGROUND),
    ("GeneralizedDiceLoss", INDICES | NONE, "classes", GENERALIZED, NONE),
    ("GeneralizedDiceLoss", SIGMOID | BY_CLASS, "masks", GENERALIZED, {"activation": "sigmoid", "per": "batch"}),
    ("TverskyLoss", SIGMOID | SHARES, "masks", TVERSKY, SHARES),
    (
        "TverskyLoss",
        INDICES | SHARES | BY_CLASS | IGNORE,
        "ignored",
        TVERSKY,
        SOFTMAX | SHARES | IGNORE | {"per": "class"},
    ),
]
# In float64 too: the first throughout, the second for the weights of the classes.
IN_FLOAT32 = ("FocalLoss", "GeneralizedDiceLoss")

# segmentation-models-pytorch: sums are over all images. "smooth" is in numerator and denominator, and counts double for
# Dice. A class without target has the loss 0, which ours has not: here each has some. The gradient of a focal loss of 0
# is NaN for gamma < 1, as is MONAI's of a softmax.
ROUGH = {"per": "class", "smooth_numerator": 0, "smooth_denominator": 0}
SMOOTH = {"per": "class", "smooth_numerator": 1, "smooth_denominator": 1}
BINARY, LABELS, MULTI = {"mode": "binary"}, {"mode": "multilabel"}, {"mode": "multiclass"}
SMP = [
    ("FocalLoss", BINARY | NONE | {"alpha": 0.25}, "masks", FOCAL, NONE),
    ("FocalLoss", LABELS | {"gamma": 1.5}, "masks", FOCAL, {"alpha": None, "gamma": 1.5}),
    # Of classes it is a sigmoid's too. Its "sum" is the mean of the sums of the classes.
    ("FocalLoss", MULTI | IGNORE | {"alpha": 0.25}, "ignored", focal_of_classes, IGNORE),
    ("FocalLoss", MULTI | SUM | {"alpha": 0.25}, "classes", focal_of_classes, {"avg_factor": CLASSES}),
    # A softmax's is a function that no class of the library calls.
    ("_functional.softmax_focal_loss_with_logits", {}, "classes", SOFTMAX_FOCAL, ROWS | {"alpha": None}),
    ("DiceLoss", BINARY, "masks", DICE, ROUGH | {"per": "batch"}),
    ("DiceLoss", LABELS | {"smooth": 0.5}, "masks", DICE, SMOOTH),
    (
        "DiceLoss",
        MULTI | IGNORE | {"class_weights": WEIGHTS},
        "ignored",
        DICE,
        SOFTMAX | ROUGH | IGNORE | WEIGHTED | {"avg_factor": sum(WEIGHTS)},
    ),
    ("TverskyLoss", LABELS | SHARES | {"smooth": 1}, "masks", TVERSKY, SMOOTH | SHARES),
    ("TverskyLoss", MULTI | SHARES | IGNORE, "ignored", TVERSKY, SOFTMAX | ROUGH | SHARES | IGNORE),
    # gamma is the exponent, and of the mean over the classes; ours is 1 / exponent, and of each class.
    (
        "TverskyLoss",
        BINARY | SHARES | {"gamma": 0.75},
        "masks",
        FOCAL_TVERSKY,
        ROUGH | SHARES | {"per": "batch", "gamma": 4 / 3},
    ),
    (
        "SoftCrossEntropyLoss",
        IGNORE | {"smooth_factor": 0.1},
        "ignored",
        ENTROPY,
        ROWS | IGNORE | {"label_smoothing": 0.1, "avg_factor": PIXELS},
    ),
    ("SoftBCEWithLogitsLoss", SUM | {"pos_weight": [3.0]}, "masks", BINARY_ENTROPY, SUM | {"pos_weight": 3.0}),
    # smooth_factor moves a target by itself, label_smoothing by half of itself.
    (
        "SoftBCEWithLogitsLoss",
        NONE | {"smooth_factor": 0.1},
        "masks",
        FOCAL,
        NONE | {"alpha": None, "gamma": 0, "label_smoothing": 0.2},
    ),
]

CASES = [Case(library, *row) for library, rows in (("kornia", KORNIA), ("monai", MONAI), ("smp", SMP)) for row in rows]


def targets_of(case: Case, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """As we take them, and as they do."""
    classes = (uniform(IMAGES, HEIGHT, WIDTH, seed=1) * CLASSES).long()
    assert all(image.unique().numel() == CLASSES for image in classes)
    if case.targets == "masks":
        masks = (uniform(IMAGES, CLASSES, HEIGHT, WIDTH, seed=1) > 0.7).to(dtype)
        return masks, masks
    if case.targets == "ignored":
        classes[uniform(*classes.shape, seed=2) < 0.1] = IGNORED
    return classes, classes[:, None] if case.library == "monai" else classes


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("largest", [4.0, 40.0])
def test_losses(backend: Backend, case: Case, dtype: torch.dtype, largest: float) -> None:
    theirs = case.theirs()
    logits = ((2 * uniform(IMAGES, CLASSES, HEIGHT, WIDTH) - 1) * largest).to(dtype)
    targets, their_targets = targets_of(case, dtype)
    targets, options = targets.to(backend.device), tensors(case.options, backend.device)
    got = evaluate(lambda x: case.ours(x, targets, **options), logits.to(backend.device))
    wanted = evaluate(lambda x: theirs(x, their_targets), logits)
    exact = dtype == torch.float64 and not (case.library == "monai" and case.name in IN_FLOAT32)
    for g, w in zip(got, wanted, strict=True):
        scale = w.abs().max().item()
        assert 0 < scale < float("inf")
        g, w = g.reshape(w.shape).double(), w.double()
        torch.testing.assert_close(g, w, rtol=1e-9 if exact else 1e-5, atol=scale * (1e-13 if exact else 2e-6))


def test_asymmetric_focal_tversky(backend: Backend) -> None:
    """MONAI's of two classes: of the background a Tversky loss, of the foreground a focal one."""
    theirs = losses_of("monai").unified_focal_loss.AsymmetricFocalTverskyLoss(delta=0.7, gamma=0.75)
    logits = 8 * uniform(IMAGES, 2, HEIGHT, WIDTH) - 4
    masks = (uniform(*logits.shape, seed=1) > 0.7).double()
    mean = {"alpha": 0.3, "beta": 0.7, "smooth_numerator": 1e-7, "smooth_denominator": 1e-7, "avg_factor": 2 * IMAGES}

    def ours(x: Tensor) -> Tensor:
        targets, background = masks.to(x.device), x.new_tensor([1.0, 0.0])
        foreground = FOCAL_TVERSKY(x, targets, gamma=1 / (1 - 0.75), class_weight=1 - background, **mean)
        return TVERSKY(x, targets, class_weight=background, **mean) + foreground

    got = evaluate(ours, logits.to(backend.device))
    wanted = evaluate(lambda x: theirs(x.sigmoid(), masks), logits)
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("scale", [640.0, 1.0])
def test_giou(backend: Backend, scale: float) -> None:
    theirs = losses_of("monai").BoxGIoULoss(reduction="none")
    boxes = random_boxes(backend.size(500), scale, torch.float32)
    eps = torch.finfo(torch.float32).eps  # theirs: in boxes of the unit square it shows
    got = evaluate(lambda *b: iouloss.giou_loss(*b, reduction="none", eps=eps), *backend.put(*boxes))
    wanted = evaluate(theirs, *boxes)
    for g, w in zip(got, wanted, strict=True):
        torch.testing.assert_close(g, w, rtol=0, atol=2e-6 * w.abs().max().item())
