"""Losses of tensors on cuda:1 while cuda:0 is current."""

import sys

import torch
from torch import Tensor

import iouloss

from . import CANNOT, require_close, require_kernels
from .call import evaluate
from .kernels import all_calls, boxes


def on_a_side_stream() -> Tensor:
    """A loss on the other device's current stream, which is not its default one."""
    stream = torch.cuda.Stream(1)
    pred, target = (box.to("cuda:1") for box in boxes())
    torch.cuda.synchronize(1)
    with torch.cuda.stream(stream), torch.cuda.device(0):
        loss = iouloss.giou_loss(pred, target)
    stream.synchronize()
    return loss


def main() -> None:
    require_kernels()
    if torch.cuda.device_count() < 2:
        print("there is one GPU: the device guard cannot be seen to work")
        sys.exit(CANNOT)
    count = 0
    for call in all_calls():
        for got, wanted in zip(evaluate(call.ours, call, "cuda:1"), evaluate(call.ours, call, "cuda:0"), strict=True):
            require_close(call.name, got, wanted, 1e-5, 1e-6)
        if torch.cuda.current_device() != 0:
            sys.exit(f"{call.name}: leaves cuda:{torch.cuda.current_device()} current")
        count += 1
    require_close("side stream", on_a_side_stream().cpu(), iouloss.giou_loss(*boxes()), 1e-11, 1e-11)
    print(f"{count} calls on cuda:1 give what they give on cuda:0, which stays current")


if __name__ == "__main__":
    main()
