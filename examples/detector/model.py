"""A compact anchor-free one-stage detector: at each point of one grid, the classes and the box of an object."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

STRIDE = 8  # pixels between two points of the grid
LARGEST = math.log(1000 / STRIDE)  # the sides of a predicted box are at most 1000 pixels from its point


def grid_points(height: int, width: int) -> Tensor:
    """The points ``[P, 2]`` (x, y) of the grid on an image of this size, in pixels."""
    rows, columns = -(-height // STRIDE), -(-width // STRIDE)
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return (torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * STRIDE


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    # GroupNorm does not depend on the batch, so two ranks with half a batch each compute what one rank does with all of
    # it.
    norm = nn.GroupNorm(max(1, outputs // 8), outputs)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), norm, nn.ReLU(inplace=True))


class Residual(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.body = nn.Sequential(convolution(channels, channels), *convolution(channels, channels)[:2])

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class Detector(nn.Module):
    """Images (uint8 ``[B, 3, H, W]``, any size) to logits ``[B, P, C]`` and boxes ``[B, P, 4]`` (xyxy, pixels).

    Args:
        classes: how many, C.
        colour: the mean colour ``[3]`` of the training images, which are centred on it.
        box_size: the usual side of a box in pixels; predictions start from there.
        prior: the probability of each class at each point that predictions start from.
        widths: channels at stride 2, 4, 8 and 16.
        deviation: what colours are divided by once centred; 50 of 255 is usual in photographs.
    """

    colour: Tensor

    def __init__(
        self,
        classes: int,
        colour: Sequence[float],
        box_size: float,
        prior: float = 0.01,
        widths: Sequence[int] = (16, 32, 64, 96),
        deviation: float = 50.0,
    ):
        super().__init__()
        # Detector(**architecture) has the same layers; model.pt holds this.
        self.architecture = {
            "classes": classes,
            "colour": list(colour),
            "box_size": box_size,
            "prior": prior,
            "widths": list(widths),
            "deviation": deviation,
        }
        self.deviation = deviation
        at2, at4, at8, at16 = widths
        self.register_buffer("colour", torch.tensor(colour, dtype=torch.float32)[:, None, None])
        self.down8 = nn.Sequential(
            convolution(3, at2, stride=2),
            convolution(at2, at4, stride=2),
            Residual(at4),
            convolution(at4, at8, stride=2),
            Residual(at8),
        )
        self.down16 = nn.Sequential(convolution(at8, at16, stride=2), Residual(at16), Residual(at16))
        self.up = nn.Sequential(nn.Conv2d(at16, at8, 1), nn.Upsample(scale_factor=2))
        self.class_head = nn.Sequential(convolution(at8, at8), nn.Conv2d(at8, classes, 3, padding=1))
        self.box_head = nn.Sequential(convolution(at8, at8), nn.Conv2d(at8, 4, 3, padding=1))
        # sigmoid(bias) is the prior. Without it, the many background points dominate the first steps of training.
        self._start(self.class_head[-1], bias=-math.log((1 - prior) / prior))
        self._start(self.box_head[-1], bias=math.log(box_size / 2 / STRIDE))

    @staticmethod
    def _start(layer: nn.Module, bias: float) -> None:
        assert isinstance(layer, nn.Conv2d) and layer.bias is not None
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.constant_(layer.bias, bias)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.down8((images - self.colour) / self.deviation)
        height, width = fine.shape[-2:]
        # If a side is odd, the coarse map reaches beyond the fine one; what is beyond is cut off.
        fine = torch.relu(fine + self.up(self.down16(fine))[..., :height, :width])
        logits = self.class_head(fine).permute(0, 2, 3, 1).flatten(1, 2)
        sides = self.box_head(fine).permute(0, 2, 3, 1).flatten(1, 2).clamp(max=LARGEST).exp() * STRIDE
        points = grid_points(*images.shape[-2:]).to(images.device)
        return logits, torch.cat([points - sides[..., :2], points + sides[..., 2:]], dim=-1)
