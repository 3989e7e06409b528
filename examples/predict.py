"""Draw what a detector finds on images, with the model that ``train_detector.py`` saved.

    python examples/predict.py runs/train_detector/model.pt photo.jpg another.png
    python examples/predict.py runs/train_detector --score 0.6 --output found photo.jpg

Images may have any size. Each is drawn into a PNG in the output folder, with its boxes and their scores.
"""

import argparse
import sys
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import draw_bounding_boxes

from detector import saved
from detector.arguments import default_device, share, usable_device
from detector.evaluate import Detections, Limits, detect
from detector.photos import UserError, read_image

COLOUR = "#2ee6ff"


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("predict.py", description="Draw what a detector finds on images.")
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model.pt, or the folder of one")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument(
        "--output", type=Path, default=Path("runs/predict"), metavar="DIR", help="where pictures go [%(default)s]"
    )
    parser.add_argument("--score", type=share, default=0.4, metavar="S", help="the lowest that is drawn [%(default)s]")
    parser.add_argument("--device", type=usable_device, default=default_device(), help="[%(default)s]")
    return parser.parse_args(argv)


def picture(pixels: Tensor, found: Detections, classes: list[str]) -> Image.Image:
    if len(found.boxes):  # torchvision warns if there are none
        names = [f"{classes[label]} " if len(classes) > 1 else "" for label in found.labels.tolist()]
        scores = [f"{score:.2f}" for score in found.scores.tolist()]
        labels = [name + score for name, score in zip(names, scores, strict=True)]
        width = max(1, round(max(pixels.shape) / 600))
        pixels = draw_bounding_boxes(pixels, found.boxes, labels, COLOUR, width=width)
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def pictures_of(images: list[Path], folder: Path) -> list[Path]:
    """The path of each picture: named like its image, with a number if that is taken; never the path of an image."""
    taken = {image.resolve() for image in images}
    paths = []
    for image in images:
        names = [image.stem, *(f"{image.stem}-{number}" for number in range(2, len(images) + 3))]
        path = next(path for name in names if (path := (folder / f"{name}.png")).resolve() not in taken)
        taken.add(path.resolve())
        paths.append(path)
    return paths


def complain(error: object) -> int:
    print(f"predict.py: error: {error}", file=sys.stderr)
    return 2


def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    try:
        content = saved.read(args.model)
        args.output.mkdir(parents=True, exist_ok=True)
    except UserError as error:
        return complain(error)
    except OSError as error:
        return complain(f"{args.output}: {error.strerror}")
    device = torch.device(args.device)
    model = saved.detector(content).to(device, memory_format=torch.channels_last)
    limits = Limits(**content["detection"])
    code = 0
    for image, path in zip(args.images, pictures_of(args.images, args.output), strict=True):
        try:
            pixels = read_image(image)
        except UserError as error:
            code = complain(error)  # and goes on with the next image
            continue
        found = detect(model, pixels, device, limits).above(args.score)
        picture(pixels, found, content["classes"]).save(path)
        print(f"{image}: {len(found.boxes)} boxes, drawn in {path}")
    return code


if __name__ == "__main__":
    sys.exit(main())
