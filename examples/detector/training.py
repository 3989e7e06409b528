"""The training loop, in one process or several."""

import copy
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from .batches import Batch, Crops
from .losses import HeadOutput, box_loss, class_targets, focal_loss
from .model import Detector
from .photos import UserError
from .stopping import Stop

RECORDED = 16  # number of batches whose head outputs are kept, spread evenly over the run
AVERAGED = 100  # the averaged weights, which are evaluated, cover about this many steps
SHOWN_EVERY = 10  # steps; to show a loss is to wait for the device
SAVED_EVERY = 30.0  # seconds


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that train together; without torchrun it is alone."""

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
    """The results of a training."""

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

        self.history: list[Tensor] = []  # [2]: the focal and the box loss of each step
        self.recorded: list[HeadOutput] = []
        self.started = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    def run(self, stop: Stop, save: Callable[[], None]) -> Training:
        """Train to the last step, or until ``stop``, but at least one step.

        ``save`` is called now and then, and at the end.
        """
        steps = self.settings.steps
        record_every = max(1, steps // RECORDED)
        saved = time.perf_counter()
        self.model.train()
        with tqdm(total=steps, initial=len(self.history), unit="step", disable=self.ranks.rank != 0) as progress:
            for step in range(len(self.history), steps):
                head, losses = self.step(self.batch(step))
                self.average(step)
                self.history.append(losses)
                if (step + 1) % record_every == 0:
                    self.recorded.append(head)
                progress.update()
                stopping = self.agreed(stop, step)
                if stopping or (step + 1) % SHOWN_EVERY == 0 or step + 1 == steps:
                    progress.set_postfix(self.shown(losses), refresh=False)
                    if time.perf_counter() - saved > SAVED_EVERY:
                        save()
                        saved = time.perf_counter()
                if stopping:
                    break
        focal, box = torch.stack(self.history).T.tolist()  # waits for the device
        recorded = self.recorded or [head]  # if nothing was recorded yet, the output of the last step serves
        training = Training(self.averaged, focal, box, recorded, self.seconds)
        save()
        return training

    def agreed(self, stop: Stop, step: int) -> bool:
        """Whether to stop after this step.

        Ranks stop together. They ask each other rarely, because they wait for the answer.
        """
        wanted = stop.signal is not None
        if self.ranks.size == 1:
            return wanted
        if (step + 1) % SHOWN_EVERY:
            return False
        return bool(self.ranks.mean(torch.tensor(float(wanted), device=self.device)) > 0)

    def shown(self, losses: Tensor) -> dict[str, str]:
        focal, box = losses.tolist()
        if not math.isfinite(focal + box):
            raise UserError(
                f"step {len(self.history)}: the focal loss is {focal}, the {self.settings.box_loss} loss {box}; "
                f"try less than --lr {self.settings.lr} or --box-weight {self.settings.box_weight}"
            )
        return {"focal": f"{focal:.3f}", self.settings.box_loss: f"{box:.3f}"}

    def state(self) -> dict[str, Any]:
        """All that ``load`` needs to go on as if nothing had happened.

        Only the initial weights and the crops are random, and the crops depend on the number of the step. The state of
        torch's generator is saved for future uses.
        """
        return {
            "step": len(self.history),
            "state_dict": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "rng": torch.get_rng_state(),
            "history": torch.stack(self.history),
            "recorded": [dict(vars(head)) for head in self.recorded],
            "seconds": self.seconds,
        }

    def load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["state_dict"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["rng"])
        self.history = list(state["history"].to(self.device))
        self.recorded = [HeadOutput(**head).to(self.device) for head in state["recorded"]]
        self.started = time.perf_counter() - state["seconds"]

    def batch(self, step: int) -> Batch:
        """This rank's part of the crops of this step, which all ranks share."""
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
        share = max(1 / AVERAGED, 9 / (10 + step))  # larger at first, so that the first steps are soon forgotten
        for average, parameter in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
            average.lerp_(parameter, share)

    def head_output(self, batch: Batch) -> HeadOutput:
        logits, boxes = self.parallel(batch.images)
        # Every rank divides by the mean number of positives over the ranks, and DDP averages their gradients. Together
        # this is the sum over all ranks divided by all positives, as in one process with the whole batch.
        positives = self.ranks.mean(torch.tensor(float(len(batch.positives)), device=self.device))
        return HeadOutput(
            logits.flatten(0, 1),
            batch.classes,
            boxes.flatten(0, 1)[batch.positives],
            batch.targets,
            positives.clamp(min=1 / self.ranks.size),
        )
