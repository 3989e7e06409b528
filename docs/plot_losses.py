"""``python docs/plot_losses.py``: the losses and their gradients as the pictures of docs/losses/.

Every curve is a public function of iouloss, and its gradient is autograd's.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import torch
from curves import GUIDE, LOOKS, Column, Evaluate, Line, Loss, derivative, draw_columns, draw_lines, plt, save, span
from matplotlib.figure import Figure
from torch import Tensor

import iouloss

FOLDER = Path(__file__).parent / "losses"

# ---------------------------------------------------------------------------------------------------------- boxes

SIDE = 100.0
TARGET = torch.tensor([0.0, 0.0, SIDE, SIDE], dtype=torch.float64)


def moved(share: Tensor) -> Tensor:
    """The target moved right and down, by shares of its side."""
    return TARGET + SIDE * share[:, None]


def scaled(x: Tensor, y: Tensor) -> Tensor:
    """The target with its sides multiplied, its centre kept."""
    half = SIDE / 2 * torch.stack((x, y), -1)
    return torch.cat((SIDE / 2 - half, SIDE / 2 + half), -1)


def norm_along(path: Callable[[Tensor], Tensor]) -> Evaluate:
    """The losses of the boxes on a path, and the norms of their gradients in units of the target's side."""

    def evaluate(loss: Loss, x: Tensor) -> tuple[Tensor, Tensor]:
        pred = path(x).requires_grad_()
        value = loss(pred, TARGET.expand_as(pred), reduction="none")
        (gradient,) = torch.autograd.grad(value.sum(), pred)
        return value.detach(), SIDE * gradient.norm(dim=-1)

    return evaluate


def draw_boxes(lines: Sequence[Line], highest: float, steepest: float) -> Figure:
    # No path meets the target itself, where the gradient is 0 and a curve would dip.
    factors = 2.0 ** span(-2, 2, 400)
    paths: tuple[tuple[str, str, Tensor, Callable[[Tensor], Tensor]], ...] = (
        ("moving away, right and down", "offset / side", span(0.003, 2.0, 400), moved),
        ("growing about the centre", "side / target's side", factors, lambda s: scaled(s, s)),
        ("stretching, its area kept", "width / target's width", factors, lambda s: scaled(s, 1 / s)),
    )
    limits = (0, highest), (0, steepest)
    columns = [
        Column(title, label, x, lines, *limits, legend=None, guides=(1.0,), logarithmic=x is factors)
        for title, label, x, _ in paths
    ]
    return draw_columns(columns, "|gradient| · side", [norm_along(path) for *_, path in paths], width=3.6)


def boxes() -> Figure:
    lines = (
        Line("IoU", iouloss.iou_loss),
        Line("GIoU", iouloss.giou_loss),
        Line("DIoU", iouloss.diou_loss),
        Line("CIoU", iouloss.ciou_loss),
        Line("EIoU", iouloss.eiou_loss),
        Line("Focal-EIoU", iouloss.focal_eiou_loss),
        Line("CDIoU", iouloss.cdiou_loss),
    )
    return draw_boxes(lines, 2.6, 4)


def boxes_modes() -> Figure:
    lines = (
        Line("IoU, linear", iouloss.iou_loss),
        Line("log", partial(iouloss.iou_loss, mode="log")),
        Line("square", partial(iouloss.iou_loss, mode="square")),
        Line("bounded IoU", iouloss.bounded_iou_loss),
        Line("SIoU", iouloss.siou_loss),
    )
    return draw_boxes(lines, 3, 6)


# --------------------------------------------------------------------------------------------------------- logits


def of_target(loss: Loss, z: float, *arguments: Any, **options: Any) -> Callable[[Tensor], Tensor]:
    """``loss`` as a function of the logit alone."""
    return lambda x: loss(x, torch.full_like(x, z), *arguments, reduction="none", **options)


def logits_focal() -> Figure:
    gammas = (0, 0.5, 1, 2, 5)
    lines = [Line(f"γ = {g:g}", of_target(iouloss.sigmoid_focal_loss, 1.0, None, float(g))) for g in gammas]
    x = span(-4, 5)
    flat = Column("sigmoid focal loss, α = None", "$x_t$", x, lines, (0, 4), (-1.45, 0.05))
    smooth = [
        Line(f"s = {s:g}", of_target(iouloss.sigmoid_focal_loss, 1.0, None, g, label_smoothing=s), look)
        for look, (s, g) in enumerate(((0.0, 2.0), (0.1, 2.0), (0.3, 2.0)))
    ]
    smoothed = Column("γ = 2, label smoothing s", "$x_t$", x, smooth, (0, 4), (-1.45, 0.05))
    return draw_columns((flat, smoothed), "derivative by $x_t$")


def logits_quality() -> Figure:
    x, qualities = span(-5, 5), (0.0, 0.3, 0.7, 1.0)
    quality = [Line(f"z = {z:g}", of_target(iouloss.quality_focal_loss, z)) for z in qualities]
    varifocal = [Line(f"z = {z:g}", of_target(iouloss.varifocal_loss, z)) for z in qualities]
    gaussian = [Line(f"z = {z:g}", of_target(iouloss.gaussian_focal_loss, z)) for z in qualities]
    limits = (0.0, 4.0), (-1.3, 1.3)
    columns = (
        Column("quality focal, β = 2", "logit x", x, quality, *limits, "upper center"),
        Column("varifocal, α = 0.75, γ = 2", "logit x", x, varifocal, *limits, "upper center"),
        Column("Gaussian focal, α = 2, β = 4", "logit x", x, gaussian, *limits, "upper center"),
    )
    return draw_columns(columns, "derivative by x", width=3.5)


def logits_asymmetric() -> Figure:
    x, loss = span(-6, 6), iouloss.asymmetric_loss
    negative = (
        Line("cross entropy", of_target(iouloss.binary_cross_entropy_loss, 0.0)),
        Line("γ⁻ = 4, margin 0", of_target(loss, 0.0, margin=0.0)),
        Line("γ⁻ = 4, margin 0.05", of_target(loss, 0.0)),
        Line("the same, differentiable focus", of_target(loss, 0.0, differentiable_focus=True)),
    )
    positive = (
        Line("γ⁺ = 0: cross entropy", of_target(loss, 1.0, gamma_pos=0.0)),
        Line("γ⁺ = 1", of_target(loss, 1.0), 2),
        Line("the same, differentiable focus", of_target(loss, 1.0, differentiable_focus=True), 3),
    )
    columns = (
        Column("negatives", "logit x", x, negative, (0, 6), (-0.1, 1.2), "upper left"),
        Column("positives", "logit x", x, positive, (0, 6), (-1.2, 0.1)),
    )
    return draw_columns(columns, "derivative by x")


def logits_others() -> Figure:
    x = span(-5, 5)
    star = [Line("cross entropy", of_target(iouloss.binary_cross_entropy_loss, 1.0))]
    star += [
        Line(f"γ = {g:g}, β = {b:g}", of_target(iouloss.focal_star_loss, 1.0, None, float(g), float(b)))
        for g, b in ((1, 1), (2, 1), (4, 0))
    ]
    poly = [Line(f"ε = {e:g}", of_target(iouloss.poly1_focal_loss, 1.0, float(e), None)) for e in (0, -1, 1, 2)]
    equalized = [
        Line(f"balance = {b:g}", equalized_of(torch.tensor([b], dtype=torch.float64))) for b in (1.0, 0.9, 0.75, 0.5)
    ]
    cross = iouloss.binary_cross_entropy_loss
    entropies = (
        Line("BCE, z = 1", of_target(cross, 1.0)),
        Line("pos_weight = 2", of_target(cross, 1.0, 2.0)),
        Line("z = 0.7", of_target(cross, 0.7)),
        Line("binary entropy", partial(iouloss.binary_entropy_loss, reduction="none")),
    )
    limits = (0.0, 5.0), (-1.6, 0.5)
    columns = (
        Column("FL*", "$x_t$", x, star, *limits),
        Column("Poly-1 focal, γ = 2", "$x_t$", x, poly, *limits),
        Column("equalized focal, α = 0.25", "$x_t$", x, equalized, *limits),
        Column("cross entropy and entropy", "logit x", x, entropies, (0, 7), (-2.1, 0.5)),
    )
    return draw_columns(columns, "derivative", width=2.9)


def equalized_of(balance: Tensor) -> Callable[[Tensor], Tensor]:
    def loss(x: Tensor) -> Tensor:
        rows = x[:, None]
        return iouloss.equalized_focal_loss(rows, torch.ones_like(rows), balance, reduction="none")[:, 0]

    return loss


# ----------------------------------------------------------------------------------------------------- regression


def regression() -> Figure:
    lines = (
        Line("L1", of_target(iouloss.l1_loss, 0.0)),
        Line("L2", of_target(iouloss.l2_loss, 0.0)),
        Line("smooth L1, β = 1", of_target(iouloss.smooth_l1_loss, 0.0)),
        Line("smooth L1, β = 1/9", of_target(iouloss.smooth_l1_loss, 0.0, beta=1 / 9)),
        Line("Huber, δ = 0.5", of_target(iouloss.huber_loss, 0.0, delta=0.5)),
        Line("balanced L1", of_target(iouloss.balanced_l1_loss, 0.0)),
        Line("focal L1, β = 0.8", of_target(iouloss.focal_l1_loss, 0.0)),
    )
    column = Column("", "d", span(-2, 2, 801), lines, (0, 2.5), (-2.2, 2.2), None)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
    draw_lines(left, right, column)
    left.set(title="loss", xlabel="d")
    right.set(title="derivative by d", xlabel="d")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


# ----------------------------------------------------------------------------------------------------------- rows

CLASSES = 10


def of_odds(loss: Loss, *arguments: Any, **options: Any) -> Callable[[Tensor], Tensor]:
    """A loss on rows as a function of the log-odds of the first class; the others share the rest alike."""

    def function(x: Tensor) -> Tensor:
        rows = torch.cat((x[:, None], x.new_full((len(x), CLASSES - 1), -math.log(CLASSES - 1))), -1)
        return loss(rows, *(a if isinstance(a, float) else a(rows) for a in arguments), reduction="none", **options)

    return function


def first_class(rows: Tensor) -> Tensor:
    return torch.zeros(len(rows), dtype=torch.int64)


def rows_softmax_focal() -> Figure:
    focal, entropy = iouloss.softmax_focal_loss, iouloss.cross_entropy_loss
    gammas = (0.0, 0.5, 1.0, 2.0, 5.0)
    focals = [Line(f"γ = {g:g}", of_odds(focal, first_class, alpha=None, gamma=g)) for g in gammas]
    entropies = (
        Line("cross entropy", of_odds(entropy, first_class)),
        Line("smoothing 0.1", of_odds(entropy, first_class, label_smoothing=0.1)),
        Line("Poly-1, ε = 2", of_odds(entropy, first_class, poly_epsilon=2.0)),
        Line("Poly-1, ε = -1", of_odds(entropy, first_class, poly_epsilon=-1.0)),
    )
    x, limits = span(-4, 5), ((0.0, 5.0), (-1.6, 0.15))
    columns = (
        Column("softmax focal, α = None", "log-odds of the class", x, focals, *limits),
        Column("cross entropy of 10 classes", "log-odds of the class", x, entropies, *limits),
    )
    return draw_columns(columns, "derivative by $x_t$")


def probabilities(odds: float, temperature: float = 1.0) -> Callable[[Tensor], Tensor]:
    """Rows of a teacher's probabilities: the first class has these log-odds, the others share the rest alike."""
    logits = torch.tensor([odds] + [-math.log(CLASSES - 1)] * (CLASSES - 1), dtype=torch.float64)
    return lambda rows: (logits / temperature).softmax(-1).expand_as(rows)


def rows_kl_entropy() -> Figure:
    loss = iouloss.kl_div_loss
    teachers = [Line(f"teacher {o}", of_odds(loss, probabilities(float(o)))) for o in (4, 2, 0, -2)]
    warm = [Line(f"T = {t:g}", of_odds(loss, probabilities(2.0, t), temperature=t)) for t in (1.0, 2.0, 4.0, 10.0)]
    entropy = [Line("10 classes", of_odds(iouloss.entropy_loss))]
    x, limits = span(-5, 7), ((0.0, 5.0), (-1.1, 1.1))
    columns = (
        Column("KL, T = 1", "log-odds of the class", x, teachers, *limits, "upper center"),
        Column("KL, teacher 2", "log-odds of the class", x, warm, *limits),
        Column("entropy", "log-odds of the class", x, entropy, *limits),
    )
    return draw_columns(columns, "derivative by $x_1$", width=3.4)


def rows_dfl() -> Figure:
    bins, place = torch.arange(16.0, dtype=torch.float64), 5.3

    def around(width: float) -> Callable[[Tensor], Tensor]:
        def loss(mean: Tensor) -> Tensor:
            rows = -((bins - mean[:, None]) ** 2) / (2 * width**2)
            return iouloss.distribution_focal_loss(rows, torch.full_like(mean, place), reduction="none")

        return loss

    lines = [Line(f"width {w:g}", around(w)) for w in (0.5, 1.0, 2.0, 4.0)]
    column = Column("", "", span(1, 10), lines, (0, 8), (-8, 8), guides=(place,))
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.3), layout="constrained")
    draw_lines(left, middle, column)
    left.set(title="loss", xlabel="mean of the predicted bell")
    middle.set(title="derivative by the mean", xlabel="mean of the predicted bell")
    middle.legend(*left.get_legend_handles_labels(), loc="lower right")
    flat = torch.zeros(1, 16, dtype=torch.float64)
    _, gradient = derivative(
        lambda x: iouloss.distribution_focal_loss(x, torch.tensor([place], dtype=torch.float64)), flat
    )
    right.bar(bins, gradient[0], 0.7, color=[LOOKS[2 if g < 0 else 1][0] for g in gradient[0]])
    right.axhline(0, **GUIDE)
    right.set(title="gradient, all logits alike", xlabel="bin", xticks=range(0, 16, 3))
    return figure


# -------------------------------------------------------------------------------------------------------- regions

PIXELS = 100  # of the object, and of the background beside it


def with_extra(p: Tensor) -> tuple[Tensor, Tensor]:
    """The object found, and the background taken for it with probability ``p``."""
    found = torch.ones(len(p), 1, PIXELS, dtype=p.dtype)
    extra = p[:, None, None].expand_as(found)
    return torch.cat((found, extra), -1), torch.cat((found, torch.zeros_like(found)), -1)


def with_missed(p: Tensor) -> tuple[Tensor, Tensor]:
    """The background left alone, and the object found with probability ``1 - p``."""
    found = (1 - p)[:, None, None].expand(-1, -1, PIXELS)
    nothing = torch.zeros_like(found)
    return torch.cat((found, nothing), -1), torch.cat((torch.ones_like(found), nothing), -1)


def rare_missed(p: Tensor) -> tuple[Tensor, Tensor]:
    """Two classes: one of 1 % of the pixels, taken with probability ``p`` for the other."""
    rare = torch.zeros(len(p), PIXELS, dtype=p.dtype)
    rare[:, 0] = 1.0
    found = rare * (1 - p[:, None])
    return torch.stack((found, 1 - found), 1), torch.stack((rare, 1 - rare), 1)


def of_region(
    make: Callable[[Tensor], tuple[Tensor, Tensor]], loss: Loss, **options: Any
) -> Callable[[Tensor], Tensor]:
    def function(p: Tensor) -> Tensor:
        value = loss(*make(p), activation=None, reduction="none", **options)
        return value.reshape(len(p), -1).mean(-1)

    return function


def regions_dice_tversky() -> Figure:
    table: tuple[tuple[str, Loss, dict[str, Any]], ...] = (
        ("Dice", iouloss.dice_loss, {}),
        ("Dice, power 2", iouloss.dice_loss, {"power": 2}),
        ("Tversky, α 0.3, β 0.7", iouloss.tversky_loss, {"alpha": 0.3, "beta": 0.7}),
        ("focal Tversky, the same", iouloss.focal_tversky_loss, {}),
    )
    rare = (
        Line("Dice, per image", of_region(rare_missed, iouloss.dice_loss, per="image"), 0),
        Line("Dice, per class", of_region(rare_missed, iouloss.dice_loss), 4),
        Line("generalized Dice", of_region(rare_missed, iouloss.generalized_dice_loss), 5),
    )
    x, limits = span(0.002, 1), ((0.0, 1.05), (0.0, 2.2))
    columns = [
        Column(title, label, x, [Line(name, of_region(make, loss, **o)) for name, loss, o in table], *limits, place)
        for make, title, label, place in (
            (with_extra, "false positives", "p of the background pixels", "upper left"),
            (with_missed, "false negatives", "1 - p of the object's pixels", "upper left"),
        )
    ]
    title = "missing a class of 1 % of the pixels"
    columns.append(Column(title, "1 - p of its pixels", x, rare, *limits, "upper left"))
    return draw_columns(columns, "derivative by that p", width=3.7)


FIGURES: dict[str, Callable[[], Figure]] = {
    function.__name__: function
    for function in (
        *(boxes, boxes_modes, logits_focal, logits_quality, logits_asymmetric, logits_others, regression),
        *(rows_softmax_focal, rows_kl_entropy, rows_dfl, regions_dice_tversky),
    )
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draw the losses and their gradients.")
    parser.add_argument("names", nargs="*", help=f"all, or some of {', '.join(FIGURES)}")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(argv)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names or FIGURES:
        file = options.folder / f"{name}.png"
        save(FIGURES[name], file)
        print(f"wrote {file}, {file.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
