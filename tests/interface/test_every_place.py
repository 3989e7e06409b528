"""Every place that lists losses by hand has all of them, but those that are named here with the reason.

The list is ``iouloss.functional.__all__``, and that of the operators' formulas ``iouloss._tables``. What follows these
by itself is not here, nor are the pages of the losses, which tests/tools/test_docs.py reads.
"""

import re
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import every_call
import every_loss
import pytest
import row_cases
import torch

import iouloss
from benchmarks import accuracy
from benchmarks.cases import PROBLEMS, Problem
from benchmarks.gpu_budgets import BUDGETS
from iouloss import _ops
from iouloss._tables import BOXES, LOGITS, REGIONS, REGRESSION, ROWS
from tools.gpu_day.checks import kernels
from tools.gpu_day.checks.call import evaluate

ROOT = Path(__file__).parents[2]
LOSSES = [name for name in iouloss.functional.__all__ if name != "box_loss"]  # which is any of the box losses
FORMULAS = [*BOXES, *LOGITS, *REGRESSION, *ROWS, *REGIONS]
OPERATORS = ("box_loss", "logit_loss", "regression_loss", "row_loss", "region_loss")


def used(*calls: Callable[[], object]) -> set[str]:
    """The losses that are called, and the formulas that they ask operators for."""
    losses = {getattr(iouloss, name).__code__: name for name in LOSSES}
    operators = {getattr(_ops, name).__code__ for name in OPERATORS}
    found: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in losses:
            found.add(losses[frame.f_code])
        elif event == "call" and frame.f_code in operators:
            found.add(frame.f_locals["inputs"].formula)

    sys.setprofile(note)
    try:
        for call in calls:
            call()
    finally:
        sys.setprofile(None)
    return found


def of_the_cases() -> set[str]:
    return used(*(partial(loss, *loss.inputs) for loss in every_loss.LOSSES))


def laid_out() -> set[str]:
    """Box losses are called there by their kind."""
    names = {call.options.get("kind", call.function.__name__) for call in every_call.CALLS}
    return {name.removesuffix("_loss") + "_loss" for name in names}


def checked_on_a_gpu() -> set[str]:
    return used(*(partial(evaluate, call.ours, call, "cpu") for call in kernels.all_calls()))


def computed(problems: Iterable[Problem]) -> set[str]:
    return used(*(partial(problem.ours, *problem.make_inputs(2, torch.float32, "cpu")) for problem in problems))


def drawn() -> list[str]:
    return re.findall(r"iouloss\.(\w+_loss)\b", (ROOT / "docs/plot_losses.py").read_text())


def described() -> set[str]:
    """The losses that have a section on a page; the index of the pages is generated."""
    pages = "".join(page.read_text() for page in ROOT.glob("docs/losses/*.md"))
    return set(re.findall(r"^## .+\n\n`(\w+)\(", pages, flags=re.MULTILINE))


@dataclass(frozen=True)
class Place:
    name: str
    has: Callable[[], Collection[str]]
    of: Collection[str] = tuple(LOSSES)
    lacks: Collection[str] = ()


# The kernels of a shape share their layouts, so that some losses of each shape are enough.
WITHOUT_LAYOUTS = (
    *("iou_loss", "diou_loss", "siou_loss", "focal_eiou_loss", "cdiou_loss"),
    *("focal_star_loss", "poly1_focal_loss", "gaussian_focal_loss", "focal_tversky_loss"),
    *("l1_loss", "l2_loss", "huber_loss", "balanced_l1_loss", "focal_l1_loss"),
)
# No formula of these is written for torch.compile to compare with; gpu_budgets.py has them, or their kernel.
WITHOUT_PEERS = (
    *("focal_star_loss", "poly1_focal_loss", "equalized_focal_loss", "asymmetric_loss", "binary_entropy_loss"),
    *("l1_loss", "l2_loss", "huber_loss", "balanced_l1_loss", "focal_l1_loss", "generalized_dice_loss", "tversky_loss"),
)
# Huber is smooth L1 times a number. Four other losses hold the kernel of boxes to its budgets.
WITHOUT_BUDGET = ("iou_loss", "siou_loss", "focal_eiou_loss", "cdiou_loss", "bounded_iou_loss", "huber_loss")
# The gradient of bounded IoU by its target: no call asks for it but the operator itself.
INSIDE = ("bounded_iou_swapped",)

PLACES = (
    Place("docs/losses/*.md", described),
    Place("docs/plot_losses.py", drawn),
    Place("tests/common/*cases.py, regions.py", of_the_cases, [*LOSSES, *FORMULAS], INSIDE),
    Place("tests/common/row_cases.py, KERNEL_CASES", lambda: {c.formula for c in row_cases.KERNEL_CASES}, ROWS),
    Place("tests/common/every_call.py", laid_out, lacks=WITHOUT_LAYOUTS),
    Place("tools/gpu_day/checks", checked_on_a_gpu, FORMULAS),
    Place("benchmarks/cases.py", lambda: computed(PROBLEMS.values()), lacks=WITHOUT_PEERS),
    Place("benchmarks/gpu_budgets.py", lambda: computed(x.problem for x in BUDGETS.values()), lacks=WITHOUT_BUDGET),
    # Of the other kinds it has the sigmoid focal loss alone; tests of numerics bound the errors of the rest.
    Place("benchmarks/accuracy.py", lambda: accuracy.BOX_LOSSES, BOXES, INSIDE),
)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_the_place_has_every_loss(place: Place) -> None:
    missing = set(place.of) - set(place.has())
    wrong = [f"{place.name} has no {name}" for name in sorted(missing - set(place.lacks))]
    wrong += [f"{place.name} does not lack {name} any more" for name in sorted(set(place.lacks) - missing)]
    assert not wrong, "\n".join(wrong)
