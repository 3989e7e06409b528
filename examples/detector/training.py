"""The training loop, in one process or several."""

import copy
import os
import time
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from .batches import Batch, Crops
from .losses import HeadOutput, box_loss, class_targets, focal_loss
from .model import Detector

RECORDED = 16  # batches of head outputs that are kept, spread evenly over the run
AVERAGED = 100  # steps that the averaged weights, which are evaluated, remember
SHOWN_EVERY = 10  # steps; showing a loss waits for the device


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone without torchrun."""

    rank: int
    size: int

    @staticmethod
    def from_environment() -> "Ranks":
        return Ranks(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean of a tensor over all ranks."""
        if self.size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total / self.size


@dataclass(frozen=True)
class Settings:
    steps: int
    batch_size: int  # of each rank
    lr: float
    box_loss: str
    box_weight: float
    backend: str


@dataclass(frozen=True)
class Training:
    """What a run leaves."""

    model: nn.Module  # with the averaged weights
    focal: list[float]  # the losses of every step
    box: list[float]
    recorded: list[HeadOutput]
    seconds: float

    @property
    def steps(self) -> int:
        return len(self.focal)


class Trainer:
    def __init__(self, model: Detector, crops: Crops, settings: Settings, device: torch.device, ranks: Ranks):
        self.settings, self.crops, self.device, self.ranks = settings, crops, device, ranks
        self.model = model.to(device).to(memory_format=torch.channels_last)
        self.parallel = DistributedDataParallel(self.model) if ranks.size > 1 else self.model
        self.averaged = copy.deepcopy(self.model)
        self.optimizer = torch.optim.AdamW(model.parameters(), settings.lr, weight_decay=0.05)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.lr, total_steps=settings.steps, pct_start=0.1
        )
        self.focal_loss = focal_loss(settings.backend)
        self.box_loss = box_loss(settings.backend, settings.box_loss)

    def run(self) -> Training:
        steps, kind = self.settings.steps, self.settings.box_loss
        record_every = max(1, steps // RECORDED)
        history, recorded = [], []
        self.model.train()
        start = time.perf_counter()
        with tqdm(total=steps, unit="step", disable=self.ranks.rank != 0) as progress:
            for step in range(steps):
                head, losses = self.step(self.batch(step))
                self.average(step)
                history.append(losses)
                if (step + 1) % record_every == 0:
                    recorded.append(head)
                if (step + 1) % SHOWN_EVERY == 0:
                    focal, box = losses.tolist()
                    progress.set_postfix({"focal": f"{focal:.3f}", kind: f"{box:.3f}"}, refresh=False)
                progress.update()
        focal, box = torch.stack(history).T.tolist()  # waits for the device
        return Training(self.averaged, focal, box, recorded, time.perf_counter() - start)

    def batch(self, step: int) -> Batch:
        """This rank's part of the crops that all ranks share in this step."""
        first = (step * self.ranks.size + self.ranks.rank) * self.settings.batch_size
        return self.crops.batch(range(first, first + self.settings.batch_size)).to(self.device)

    def step(self, batch: Batch) -> tuple[HeadOutput, Tensor]:
        head = self.head_output(batch)
        targets = class_targets(self.settings.backend, head.classes, head.logits.shape[1])
        focal = self.focal_loss(head.logits, targets, head.avg_factor)
        box = self.box_loss(head.boxes, head.targets, head.avg_factor)
        (focal + self.settings.box_weight * box).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        return head.detach(), self.ranks.mean(torch.stack([focal.detach(), box.detach()]))

    @torch.no_grad()
    def average(self, step: int) -> None:
        share = max(1 / AVERAGED, 9 / (10 + step))  # the first steps are soon forgotten
        for average, parameter in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
            average.lerp_(parameter, share)

    def head_output(self, batch: Batch) -> HeadOutput:
        logits, boxes = self.parallel(batch.images)
        # Every rank divides by the same number, and DDP takes the mean of their gradients: the mean of the positives
        # makes that the sum over all ranks divided by all positives, what one process gets from the whole batch.
        positives = self.ranks.mean(torch.tensor(float(len(batch.positives)), device=self.device))
        return HeadOutput(
            logits.flatten(0, 1),
            batch.classes,
            boxes.flatten(0, 1)[batch.positives],
            batch.targets,
            positives.clamp(min=1 / self.ranks.size),
        )
