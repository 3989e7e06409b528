"""Train a small detector on real photographs with iouloss, and say what the losses cost.

    python examples/train_detector.py                                    # tree crowns seen from a plane
    python examples/train_detector.py --box-loss eiou --name eiou
    python examples/train_detector.py --data folder/of/pascal-voc        # images and XML
    python examples/train_detector.py --coco instances.json --images folder
    torchrun --nproc-per-node 2 examples/train_detector.py --batch-size 4

It trains on the left part of every photograph and evaluates on the right part, which it never trains on; ``--split``
says where the line is. What it finds is written to ``runs/<name>/``: ``metrics.json``, ``curves.png`` and
``predictions.png``. Photographs are kept in memory. On one machine, the same arguments give the same numbers.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import NoReturn

import torch
import torch.distributed as dist
from detector.batches import Crops, mean_colour
from detector.evaluate import average_precision, detect
from detector.losses import BACKENDS, KINDS, TORCHVISION_KINDS, compare
from detector.model import Detector
from detector.photos import Dataset, UserError, areas, read_coco, read_tree_crowns, read_voc
from detector.report import describe, draw_curves, draw_predictions, training_metrics
from detector.training import Ranks, Settings, Trainer, Training


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser(description="Train a small detector with iouloss, and say what the losses cost.")
    data = parser.add_argument_group("data (without it: the tree crowns of the package deepforest)")
    data.add_argument("--data", type=Path, metavar="DIR", help="a folder of Pascal VOC images and XML")
    data.add_argument("--coco", type=Path, metavar="FILE", help="a COCO file, together with --images")
    data.add_argument("--images", type=Path, metavar="DIR", help="the folder of the COCO file's images")
    data.add_argument("--split", type=float, default=0.7, metavar="SHARE", help="left part to train on [%(default)s]")
    losses = parser.add_argument_group("losses")
    losses.add_argument("--box-loss", choices=KINDS, default="ciou", help="[%(default)s]")
    losses.add_argument(
        "--box-weight", type=float, default=1.0, metavar="W", help="beside the focal loss [%(default)s]"
    )
    losses.add_argument("--backend", choices=BACKENDS, default="iouloss", help="whose losses train [%(default)s]")
    training = parser.add_argument_group("training")
    training.add_argument("--steps", type=int, default=1000, metavar="N", help="[%(default)s]")
    training.add_argument("--batch-size", type=int, default=8, metavar="N", help="crops of each process [%(default)s]")
    training.add_argument("--crop", type=int, default=256, metavar="PIXELS", help="side of a crop [%(default)s]")
    training.add_argument("--lr", type=float, default=3e-3, help="the largest learning rate [%(default)s]")
    training.add_argument("--seed", type=int, default=0, metavar="N", help="[%(default)s]")
    training.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="[%(default)s]")
    training.add_argument(
        "--threads", type=int, default=0, metavar="N", help="on the CPU; 0: as torch has it [%(default)s]"
    )
    training.add_argument("--name", default="train_detector", help="results go to runs/NAME [%(default)s]")
    args = parser.parse_args(argv)
    check(args)
    return args


def check(args: argparse.Namespace) -> None:
    for name, least in (("steps", 1), ("batch_size", 1), ("crop", 32), ("seed", 0), ("threads", 0)):
        if getattr(args, name) < least:
            raise UserError(f"--{name.replace('_', '-')}: got {getattr(args, name)}, wants {least} or more")
    if not 0 < args.split < 1:
        raise UserError(f"--split: got {args.split}, wants a share between 0 and 1")
    if args.data and args.coco:
        raise UserError("--data and --coco: one of them at a time")
    if bool(args.coco) != bool(args.images):
        raise UserError("--coco and --images: both or neither")
    if args.backend == "torchvision" and args.box_loss not in TORCHVISION_KINDS:
        raise UserError(f"--box-loss {args.box_loss}: torchvision has only {', '.join(TORCHVISION_KINDS)}")
    try:
        torch.empty(0, device=args.device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {args.device}: {str(error).splitlines()[0]}") from error


def read(args: argparse.Namespace) -> Dataset:
    if args.data:
        return read_voc(args.data)
    return read_coco(args.coco, args.images) if args.coco else read_tree_crowns()


def main(argv: list[str] | None = None) -> int:
    ranks = Ranks.from_environment()
    try:
        args = parse(argv)
        train, held_out = read(args).split(args.split)
    except UserError as error:
        if ranks.rank == 0:
            print(f"train_detector.py: error: {error}", file=sys.stderr)
        return 2
    device = torch.device(args.device)
    if ranks.size > 1:
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        training = fit(args, train, device, ranks)
        if ranks.rank == 0:
            report(args, train, held_out, training)
    finally:
        if ranks.size > 1:
            dist.destroy_process_group()
    return 0


def fit(args: argparse.Namespace, train: Dataset, device: torch.device, ranks: Ranks) -> Training:
    torch.backends.cudnn.deterministic = True
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    sizes = torch.cat([areas(photo.boxes) for photo in train.photos]).sqrt()
    model = Detector(len(train.classes), mean_colour(train), float(sizes.median()))
    if ranks.rank == 0:
        parameters = sum(parameter.numel() for parameter in model.parameters())
        print(
            f"{len(train.photos)} photographs, {train.boxes} boxes to train on; a detector with {parameters:,} "
            f"parameters; focal and {args.box_loss} losses of {args.backend}, on {device}"
        )
    settings = Settings(args.steps, args.batch_size, args.lr, args.box_loss, args.box_weight, args.backend)
    return Trainer(model, Crops(train, args.crop, args.seed), settings, device, ranks).run()


def report(args: argparse.Namespace, train: Dataset, held_out: Dataset, training: Training) -> None:
    """Evaluate, compare the losses, print both and write the files."""
    device = torch.device(args.device)
    detections = [detect(training.model, photo, device) for photo in held_out.photos]
    precision = average_precision(held_out.photos, detections, len(held_out.classes))
    print(f"held out ({held_out.boxes} boxes): AP50 {precision['AP50']:.3f}, AP {precision['AP']:.3f}")
    comparisons = compare(training.recorded, args.box_loss)
    print("\n".join(describe(comparisons, training)))
    folder = Path("runs", args.name)
    folder.mkdir(parents=True, exist_ok=True)
    config = {key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
    metrics = {
        "config": config,
        "data": {"photographs": len(train.photos), "train_boxes": train.boxes, "held_out_boxes": held_out.boxes},
        "results": precision,
        **training_metrics(training, comparisons),
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    draw_curves(folder / "curves.png", training, args.box_loss)
    draw_predictions(folder / "predictions.png", held_out.photos, detections)
    print(f"written to {folder}: metrics.json, curves.png, predictions.png")


if __name__ == "__main__":
    sys.exit(main())
