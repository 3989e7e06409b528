"""Every kernel once or twice, at sizes with a tail: short enough to run under compute-sanitizer."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from iouloss import _ops, reference
from iouloss._tables import BOXES as BOX_FORMULAS

from . import other_kernels, require_close, require_kernels
from .call import Call, Loss, evaluate

BOXES = 517  # two blocks of 256 and a tail
ROWS, CLASSES = 259, 5  # 1295 logits: a block of 1024, and a tail that is no multiple of 4
NUMBERS = (torch.float32, torch.float64)
HALVES = (torch.float16, torch.bfloat16)


def boxes(n: int = BOXES) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    corner, size, shift, grow = (torch.rand(n, 2, generator=generator, dtype=torch.float64) for _ in range(4))
    pred = torch.cat((corner, corner + 0.05 + size), -1)
    target = torch.cat((corner + 0.4 * shift, corner + 0.4 * shift + 0.05 + 1.3 * grow), -1)
    return [64 * pred, 64 * target]


def box_call(name: str, formula: str, reduction: str, tensors: list[Tensor], fmt: str = "xyxy", **layout: Any) -> Call:
    numbers = {option: 0.5 for taken in BOX_FORMULAS.values() for option in taken}
    options = {"formula": formula, "fmt": fmt, "eps": 1e-7, "reduction": reduction, **numbers}

    def compiled(pred: Tensor, target: Tensor, weight: Tensor | None = None, by: Tensor | None = None) -> Tensor:
        return _ops.box_loss(reference.BoxInputs(pred, target, weight, None, by, **options))

    def pure(pred: Tensor, target: Tensor, weight: Tensor | None = None, by: Tensor | None = None) -> Tensor:
        return reference.box_loss(reference.BoxInputs(pred, target, weight, None, by, **options))

    return Call(f"{name} {formula}", compiled, pure, tensors, **layout)


def focal_call(name: str, gamma: float, reduction: str, tensors: list[Tensor], alpha: str = "number") -> Call:
    def loss(compiled: bool) -> Loss:
        def call(logits: Tensor, targets: Tensor, weight: Tensor, by: Tensor | None = None) -> Tensor:
            options = {
                **{"weight": weight, "avg_factor": by, "formula": "square_focal" if gamma == 2 else "focal"},
                **{"gamma": gamma, "ignore_index": 2, "reduction": reduction, "class_dim": -1},
            }
            if alpha == "number":
                options |= {"alpha1": 0.25, "alpha0": 0.75}
            else:
                options |= {"alpha_per_class": weight[:CLASSES], "complement": True}
            inputs = reference.LogitInputs(logits, targets, **options)
            return _ops.logit_loss(inputs) if compiled else reference.logit_loss(inputs)

        return call

    return Call(f"{name} gamma {gamma:g}", loss(True), loss(False), tensors)


def all_calls() -> Iterator[Call]:
    weight = torch.linspace(0.5, 2, BOXES)
    for dtype in NUMBERS:
        pair = [box.to(dtype) for box in boxes()]
        by = torch.tensor(7.0, dtype=dtype)
        for formula in BOX_FORMULAS:
            yield box_call(f"{dtype}, each,", formula, "none", pair)
            yield box_call(f"{dtype}, mean,", formula, "mean", [*pair, weight, by])
    single = [box.float() for box in boxes()]
    for fmt in ("xywh", "cxcywh"):
        yield box_call(fmt, "ciou", "sum", single, fmt)
    for name, layout in {"columns of a wider tensor": lambda t: t[:, 1:5], "misaligned": misaligned}.items():
        wide = [torch.nn.functional.pad(box, (1, 2)) for box in single]
        tensors = wide if "wider" in name else [torch.nn.functional.pad(box.flatten(), (1, 0)) for box in single]
        yield box_call(name, "ciou", "sum", tensors, layout=layout)
    for dtype in HALVES:
        yield box_call(f"{dtype}", "giou", "none", [box.to(dtype) for box in boxes()])
    yield box_call("one box", "ciou", "mean", [box[:1] for box in single])
    yield from focal_calls()
    yield from other_kernels.calls()


def misaligned(tensor: Tensor) -> Tensor:
    return tensor[1:].view(-1, 4)


def focal_calls() -> Iterator[Call]:
    generator = torch.Generator().manual_seed(1)
    logits = 6 * torch.randn(ROWS, CLASSES, generator=generator, dtype=torch.float64)
    classes = torch.randint(CLASSES + 1, (ROWS,), generator=generator)
    dense = torch.rand(ROWS, CLASSES, generator=generator, dtype=torch.float64)
    rows = torch.linspace(0, 1, ROWS)
    for dtype in NUMBERS:
        x, z, by = logits.to(dtype), dense.to(dtype), torch.tensor(7.0, dtype=dtype)
        for gamma in (2.0, 1.5):
            yield focal_call(f"{dtype}, dense,", gamma, "none", [x, z, rows])
            yield focal_call(f"{dtype}, dense, mean,", gamma, "mean", [x, z, rows, by])
            yield focal_call(f"{dtype}, classes, alpha of each,", gamma, "none", [x, classes, rows], alpha="tensor")
            yield focal_call(f"{dtype}, classes, mean,", gamma, "mean", [x, classes, rows, by])
    for dtype in HALVES:
        yield focal_call(f"{dtype}", 2.0, "none", [logits.to(dtype), dense.to(dtype), rows])


def main() -> None:
    require_kernels()
    calls = list(all_calls())
    for call in calls:
        got, wanted = evaluate(call.ours, call, "cuda"), evaluate(call.truth, call, "cpu")
        eps = torch.finfo(got[1].dtype).eps  # a gradient may be rounded to the other neighbour
        exact = got[0].dtype == torch.float64
        require_close(f"{call.name}, loss", got[0], wanted[0], *((1e-11, 1e-11) if exact else (2e-5, 1e-5)))
        require_close(
            f"{call.name}, gradient", got[1], wanted[1], 1e-10 if exact else 2e-5 + eps, 1e-11 if exact else 1e-5
        )
    print(f"{len(calls)} calls, forward and backward, agree with the reference")


if __name__ == "__main__":
    main()
