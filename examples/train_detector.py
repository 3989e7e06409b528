"""Train a small detector on real photographs with iouloss, and say what the losses cost.

    python examples/train_detector.py                                    # tree crowns seen from a plane
    python examples/train_detector.py --box-loss eiou --name eiou
    python examples/train_detector.py --data folder/of/pascal-voc        # images and XML
    python examples/train_detector.py --coco instances.json --images folder
    python examples/train_detector.py --resume runs/eiou                 # go on with what was stopped
    torchrun --nproc-per-node 2 examples/train_detector.py --batch-size 4

It trains on the left part of every photograph and evaluates on the right part, which it never trains on; ``--split``
says where the line is. What it finds is written to ``runs/<name>/``: ``metrics.json``, ``curves.png``,
``predictions.png`` and ``model.pt``, with which ``predict.py`` finds more. Photographs are kept in memory. On one
machine, the same arguments give the same numbers, in one go or resumed.

Ctrl-C or SIGTERM ends the training early: what there is is evaluated and written, and the exit code is 130 or 143. A
second one ends it at once; ``model.pt``, written twice a minute, remains.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist

from detector import saved
from detector.arguments import Parser, default_device, number, share, usable_device, whole
from detector.batches import Crops, mean_colour
from detector.evaluate import Limits, average_precision, detect
from detector.losses import BACKENDS, KINDS, TORCHVISION_KINDS, compare
from detector.model import Detector
from detector.photos import Dataset, UserError, areas, read_coco, read_tree_crowns, read_voc
from detector.report import describe, draw_curves, draw_predictions, training_metrics
from detector.stopping import Stop
from detector.training import Ranks, Settings, Trainer, Training

SOURCES = ("data", "coco", "images")
# The arguments that may change when a training is resumed. Photographs may move: their contents are compared, not their
# paths.
FREE = ("device", "threads", "name", *SOURCES)


def make_parser() -> Parser:
    parser = Parser("train_detector.py", description="Train a detector with iouloss, and say what the losses cost.")
    data = parser.add_argument_group("data (without it: the tree crowns of the package deepforest)")
    data.add_argument("--data", type=Path, metavar="DIR", help="a folder of Pascal VOC images and XML")
    data.add_argument("--coco", type=Path, metavar="FILE", help="a COCO file, together with --images")
    data.add_argument("--images", type=Path, metavar="DIR", help="the folder of the COCO file's images")
    data.add_argument("--split", type=share, default=0.7, metavar="SHARE", help="left part to train on [%(default)s]")
    losses = parser.add_argument_group("losses")
    losses.add_argument("--box-loss", choices=KINDS, default="ciou", help="[%(default)s]")
    weight = number(float, "0 or more", lambda value: 0 <= value < math.inf)
    losses.add_argument(
        "--box-weight", type=weight, default=1.0, metavar="W", help="beside the focal loss [%(default)s]"
    )
    losses.add_argument("--backend", choices=BACKENDS, default="iouloss", help="whose losses train [%(default)s]")
    training = parser.add_argument_group("training")
    training.add_argument("--steps", type=whole(1), default=1000, metavar="N", help="[%(default)s]")
    training.add_argument(
        "--batch-size", type=whole(1), default=8, metavar="N", help="crops of each process [%(default)s]"
    )
    training.add_argument("--crop", type=whole(32), default=256, metavar="PIXELS", help="side of a crop [%(default)s]")
    rate = number(float, "a number above 0, up to 1", lambda value: 0 < value <= 1)
    training.add_argument("--lr", type=rate, default=3e-3, help="the largest learning rate [%(default)s]")
    training.add_argument("--seed", type=whole(0), default=0, metavar="N", help="[%(default)s]")
    training.add_argument("--device", type=usable_device, default=default_device(), help="[%(default)s]")
    training.add_argument(
        "--threads", type=whole(0, 1024), default=0, metavar="N", help="on the CPU; 0: as torch has it [%(default)s]"
    )
    training.add_argument("--name", default="train_detector", help="results go to runs/NAME [%(default)s]")
    training.add_argument(
        "--resume", type=Path, metavar="PATH", help="go on with the training of a model.pt, or of that in a folder"
    )
    return parser


def parse(argv: list[str] | None) -> tuple[argparse.Namespace, saved.Content | None]:
    """The arguments, and the run to resume, if any. That run sets all arguments, and those given may not differ."""
    parser = make_parser()
    args = parser.parse_args(argv)
    content = None
    if args.resume:
        content = saved.read(args.resume)
        elsewhere = any(getattr(args, name) for name in SOURCES)
        parser.set_defaults(
            **{key: value for key, value in content["config"].items() if not (elsewhere and key in SOURCES)}
        )
        args = parser.parse_args(argv)
    if args.data and args.coco:
        parser.error("--data and --coco: one of them at a time")
    if bool(args.coco) != bool(args.images):
        parser.error("--coco and --images: both or neither")
    if args.backend == "torchvision" and args.box_loss not in TORCHVISION_KINDS:
        parser.error(f"--box-loss {args.box_loss}: torchvision has only {', '.join(TORCHVISION_KINDS)}")
    return args, content


def read(args: argparse.Namespace) -> Dataset:
    if args.data:
        return read_voc(args.data)
    return read_coco(args.coco, args.images) if args.coco else read_tree_crowns()


def check_size(crop: int, train: Dataset) -> None:
    largest = max(train.photos, key=lambda photo: max(photo.width, photo.height))
    if crop > max(largest.width, largest.height):
        raise UserError(
            f"--crop: got {crop}, more than any photograph has: the largest to train on ({largest.name}) has "
            f"{largest.width} x {largest.height} pixels"
        )


def describe_run(args: argparse.Namespace, train: Dataset, ranks: Ranks) -> saved.Content:
    """What the numbers of a run depend on, and a little more, for ``model.pt``."""
    config = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
    del config["resume"]
    return {"config": config, "processes": ranks.size, "photographs": saved.digest(train), "classes": train.classes}


def check_same(path: Path, before: saved.Content, now: saved.Content) -> None:
    """Raise unless a training can be continued as the run ``now``."""
    config = [key for key in now["config"] if key not in FREE]
    pairs = [(f"--{key.replace('_', '-')}", now["config"][key], before["config"].get(key)) for key in config]
    pairs += [(key, now[key], before[key]) for key in ("processes", "classes", "photographs")]
    different = "; ".join(f"{name}: got {new}, wants {old}" for name, new, old in pairs if new != old)
    if different:
        raise UserError(f"--resume {path}: this was trained otherwise: {different}")


def make_folder(name: str) -> Path:
    folder = Path("runs", name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}") from error
    return folder


def main(argv: list[str] | None = None) -> int:
    ranks = Ranks.from_environment()
    try:
        args, content = parse(argv)
        train, held_out = read(args).split(args.split)
        check_size(args.crop, train)
        run = describe_run(args, train, ranks)
        if content:
            check_same(args.resume, content, run)
        folder = make_folder(args.name)
        with Stop() as stop, joined(args.device, ranks) as device:
            trainer = prepare(args, train, device, ranks)
            if content:
                trainer.load(content["training"])
            training = trainer.run(stop, lambda: saved.write(folder, trainer, run))
            if ranks.rank == 0:
                report(folder, run, train, held_out, training, stop)
        return stop.exit_code
    except UserError as error:
        if ranks.rank == 0:
            print(f"train_detector.py: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("train_detector.py: stopped before the training began", file=sys.stderr)
        return 130


@contextmanager
def joined(name: str, ranks: Ranks) -> Iterator[torch.device]:
    """The device of this process, which belongs to the process group while the context lasts."""
    device = torch.device(name)
    if ranks.size == 1:
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def prepare(args: argparse.Namespace, train: Dataset, device: torch.device, ranks: Ranks) -> Trainer:
    torch.backends.cudnn.deterministic = True
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    sizes = torch.cat([areas(photo.boxes) for photo in train.photos]).sqrt()
    model = Detector(len(train.classes), mean_colour(train).tolist(), float(sizes.median()))
    if ranks.rank == 0:
        parameters = sum(parameter.numel() for parameter in model.parameters())
        print(
            f"{len(train.photos)} photographs, {train.boxes} boxes to train on; a detector with {parameters:,} "
            f"parameters; focal and {args.box_loss} losses of {args.backend}, on {device}"
        )
    settings = Settings(args.steps, args.batch_size, args.lr, args.box_loss, args.box_weight, args.backend)
    return Trainer(model, Crops(train, args.crop, args.seed), settings, device, ranks)


def report(folder: Path, run: saved.Content, train: Dataset, held_out: Dataset, training: Training, stop: Stop) -> None:
    """Evaluate, compare the losses, print both and write the files."""
    config = run["config"]
    if stop.signal:
        print(
            f"stopped by {stop.signal.name} after {training.steps} of {config['steps']} steps; now what there is is "
            "evaluated (again: ends at once)"
        )
    device, kind = torch.device(config["device"]), config["box_loss"]
    detections = [detect(training.model, photo.pixels, device, Limits()) for photo in held_out.photos]
    precision = average_precision(held_out.photos, detections, len(held_out.classes))
    print(f"held out ({held_out.boxes} boxes): AP50 {precision['AP50']:.3f}, AP {precision['AP']:.3f}")
    comparisons = compare(training.recorded, kind)
    print("\n".join(describe(comparisons, training)))
    metrics = {
        "config": config,
        "data": {"photographs": len(train.photos), "train_boxes": train.boxes, "held_out_boxes": held_out.boxes},
        "steps": training.steps,
        "results": precision,
        **training_metrics(training, comparisons),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    draw_curves(folder / "curves.png", training, kind)
    draw_predictions(folder / "predictions.png", held_out.photos, detections)
    print(f"written to {folder}: metrics.json, curves.png, predictions.png, {saved.FILE}")
    if training.steps < config["steps"]:
        print(f"to go on: --resume {folder}")


if __name__ == "__main__":
    sys.exit(main())
