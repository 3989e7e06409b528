"""A training step in which the host never waits, and the same step captured into a CUDA graph and replayed."""

import torch
from torch import Tensor, nn

import iouloss

from . import EMULATED, require_close, require_kernels

ROWS, FEATURES, CLASSES = (64, 8, 5) if EMULATED else (4096, 64, 20)
STEPS = 3


class Head(nn.Module):
    """Boxes around fixed anchors, and a logit for every class."""

    def __init__(self) -> None:
        super().__init__()
        self.boxes, self.classes = nn.Linear(FEATURES, 4), nn.Linear(FEATURES, CLASSES)

    def forward(self, features: Tensor, target: Tensor, classes: Tensor) -> Tensor:
        anchors = torch.cat((-torch.ones_like(target[:, :2]), torch.ones_like(target[:, 2:])), -1)
        count = (classes < CLASSES).sum().clamp(min=1)  # stays on the device
        boxes = iouloss.ciou_loss(anchors + self.boxes(features), target, avg_factor=count)
        return boxes + iouloss.sigmoid_focal_loss(self.classes(features), classes, avg_factor=count)


def batches() -> list[list[Tensor]]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(STEPS):
        features = torch.randn(ROWS, FEATURES, generator=generator)
        target = torch.tensor([-1.0, -1, 1, 1]) + 0.3 * torch.randn(ROWS, 4, generator=generator)
        classes = torch.randint(CLASSES + 1, (ROWS,), generator=generator)
        found.append([tensor.cuda() for tensor in (features, target, classes)])
    return found


def step(head: Head, optimizer: torch.optim.Optimizer, batch: list[Tensor]) -> Tensor:
    optimizer.zero_grad(set_to_none=True)
    loss: Tensor = head(*batch)
    loss.backward()
    optimizer.step()
    return loss.detach()


def eagerly(start: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The losses and the last weights. torch raises an error if anything waits for the device."""
    head = Head().cuda()
    head.load_state_dict(start)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    data = batches()
    torch.cuda.set_sync_debug_mode("error")
    try:
        losses = [step(head, optimizer, batch) for batch in data]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return losses, head.state_dict()


def replayed(start: dict[str, Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
    """The same by replaying one graph, into whose inputs each batch is copied."""
    head = Head().cuda()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    data = batches()
    static = [tensor.clone() for tensor in data[0]]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):  # first calls allocate and choose algorithms: not while capturing
            step(head, optimizer, static)
    torch.cuda.current_stream().wait_stream(side)
    head.load_state_dict(start)
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        loss = step(head, optimizer, static)
    losses = []
    for batch in data:
        for here, new in zip(static, batch, strict=True):
            here.copy_(new)
        graph.replay()
        losses.append(loss.clone())
    return losses, {name: value.clone() for name, value in head.state_dict().items()}


def main() -> None:
    require_kernels()
    torch.manual_seed(0)
    start = Head().cuda().state_dict()
    eager, graphed = eagerly(start), replayed(start)
    for i, (got, wanted) in enumerate(zip(graphed[0], eager[0], strict=True)):
        require_close(f"loss of step {i}", got, wanted, 1e-5, 1e-6)
    for name, wanted in eager[1].items():
        require_close(name, graphed[1][name], wanted, 1e-5, 1e-6)
    same = all(torch.equal(graphed[1][name], wanted) for name, wanted in eager[1].items())
    first, last = (float(loss) for loss in (eager[0][0], eager[0][-1]))
    waits = "whether the host waits is not seen on the emulated device" if EMULATED else "no wait of the host"
    print(
        f"{STEPS} steps (loss {first:.4f} to {last:.4f}), {waits}; replayed from a CUDA graph they give "
        f"{'the same bits' if same else 'the same to 1e-5'}"
    )


if __name__ == "__main__":
    main()
