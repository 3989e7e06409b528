"""Bits that do not depend on the order in which a GPU runs its blocks.

On an emulated GPU each launch runs its blocks and warps in another order, drawn from the number of the launch; that it
does is a test of the emulated device. On a real one the order is what it happens to be.
"""

import pytest
import torch
from backends import EMULATED, unavailable
from cases import BOX_CASE, BoxCase, evaluate, every_case, every_gamma, random_boxes, random_logits, uniform
from operators import arguments
from torch import Tensor

from iouloss import sigmoid_focal_loss
from iouloss.reference import BoxInputs

pytestmark = pytest.mark.skipif(unavailable("cuda") is not None, reason=f"{unavailable('cuda')}")

BLOCK = 256  # threads; of a box, or of four logits
REPEATS = 8
every_reduction = pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])


def boxes_of(blocks: float, dtype: torch.dtype = torch.float32, seed: int = 0) -> list[Tensor]:
    n = int(blocks * BLOCK)
    weight = uniform(n, seed=seed + 1, dtype=torch.float32)
    return [x.cuda() for x in (*random_boxes(n, 640.0, dtype, seed=seed), weight)]


def box_results(case: BoxCase, reduction: str, boxes: list[Tensor]) -> list[Tensor]:
    pred, target, weight = boxes
    return evaluate(lambda p, t: case(p, t, weight, reduction=reduction), pred, target)


def logits_of(blocks: float, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    rows = int(blocks * BLOCK * 4 / 3) + 1  # of 3: no block ends with a row
    return random_logits(rows, 3, dtype=dtype).cuda(), (torch.arange(rows) % 4).cuda(), uniform(rows, seed=3).cuda()


def focal_results(reduction: str, gamma: float, logits: Tensor, classes: Tensor, weight: Tensor) -> list[Tensor]:
    return evaluate(lambda x: sigmoid_focal_loss(x, classes, None, gamma, weight=weight, reduction=reduction), logits)


def bits(tensors: list[Tensor]) -> list[bytes]:
    return [tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes() for tensor in tensors]


# ------------------------------------------------------------------------------------------------------------- repeats


@every_case
@every_reduction
@every_dtype
def test_box_losses_keep_their_bits(case: BoxCase, reduction: str, dtype: torch.dtype) -> None:
    boxes = boxes_of(4.3, dtype)
    first = bits(box_results(case, reduction, boxes))
    assert all(bits(box_results(case, reduction, boxes)) == first for _ in range(REPEATS))


@every_gamma
@every_reduction
@every_dtype
def test_focal_losses_keep_their_bits(gamma: float, reduction: str, dtype: torch.dtype) -> None:
    inputs = logits_of(4.3, dtype)
    first = bits(focal_results(reduction, gamma, *inputs))
    assert all(bits(focal_results(reduction, gamma, *inputs)) == first for _ in range(REPEATS))


@pytest.mark.skipif(not EMULATED, reason="a GPU does not tell in which order its blocks ran")
def test_these_are_several_blocks_in_orders_of_their_own() -> None:
    from emulated_cuda import device

    before = len(device.history)
    for _ in range(REPEATS):
        box_results(BOX_CASE["iou"], "mean", boxes_of(4.3))
        focal_results("mean", 2.0, *logits_of(4.3))
    # A mean over class indices counts them first: exact, in any order.
    launches = [launch for launch in device.history[before:] if "kept_weight" not in launch.kernel]
    assert len(launches) == (3 + 2) * REPEATS and all(launch.grid[0] == 5 for launch in launches)
    assert len({launch.seed for launch in launches}) == len(launches)


# ---------------------------------------------------------------------------------------------- batches one by another


def test_batches_of_other_sizes_between_change_nothing() -> None:
    """Whatever the scratch memory of one launch leaves to the next."""
    sizes = (4.3, 0.2, 40, 1, 7.9)
    batches = [(boxes_of(size, seed=i), logits_of(size)) for i, size in enumerate(sizes)]

    def results() -> list[list[bytes]]:
        return [
            bits(box_results(BOX_CASE["ciou"], "mean", boxes) + focal_results("sum", 2.0, *logits))
            for boxes, logits in batches
        ]

    first = results()
    assert all(results() == first for _ in range(REPEATS))
    batches.reverse()
    assert results() == first[::-1]


def test_two_streams_change_nothing() -> None:
    """Calls that alternate between two streams: each has a counter and partial sums of its own."""
    boxes, logits = [boxes_of(size, seed=1) for size in (4.3, 9.7)], logits_of(6.1)

    def calls() -> list[Tensor]:
        # Copies, so that what a loss reads was written on its stream.
        leaves = [x.clone().requires_grad_() for x in (boxes[0][0], boxes[1][1], logits[0])]
        losses = [
            BOX_CASE["ciou"](leaves[0], *boxes[0][1:], reduction="sum"),
            BOX_CASE["giou"](boxes[1][0], leaves[1], boxes[1][2], reduction="mean"),
            sigmoid_focal_loss(leaves[2], logits[1], weight=logits[2], reduction="sum"),
        ]
        return [loss.detach() for loss in losses] + list(torch.autograd.grad(losses, leaves))

    first = bits([tensor.cpu() for tensor in calls()])
    streams = [torch.cuda.Stream() for _ in range(2)]
    for stream in streams:
        stream.wait_stream(torch.cuda.current_stream())
    several = []
    for i in range(2 * REPEATS):
        with torch.cuda.stream(streams[i % 2]):
            several.append(calls())
    for stream in streams:
        torch.cuda.current_stream().wait_stream(stream)
    assert all(bits([tensor.cpu() for tensor in tensors]) == first for tensors in several)


def test_the_current_device_changes_nothing() -> None:
    """The kernels run where the tensors are. Autograd makes that the current device, a call of an operator does not."""
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one device")
    boxes, logits = [x.to("cuda:1") for x in boxes_of(4.3)], [x.to("cuda:1") for x in logits_of(4.3)]
    given = arguments("box_loss", BoxInputs(*boxes[:2], formula="giou", reduction="sum"))

    def results() -> list[bytes]:
        tensors = box_results(BOX_CASE["ciou"], "mean", boxes) + focal_results("mean", 2.0, *logits)
        by_hand = torch.ops.iouloss.box_loss_backward(torch.ones_like(boxes[2][0]), **given)
        return bits([*tensors, by_hand.cpu()])

    assert torch.cuda.current_device() == 0
    first = results()
    with torch.cuda.device(1):
        assert results() == first
