"""Photographs with boxes: reading them from Pascal VOC and COCO files, and cutting windows out of them."""

import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import torch
from PIL import Image
from torch import Tensor

# A box that a window cuts is kept if this share of its area is inside: a sliver of a crown is not a crown.
KEPT_AREA = 0.4
SMALLEST = 16  # pixels of the side of a photograph


class UserError(Exception):
    """An error that the user can fix. Its message is one line that says what is wrong, and where."""


@dataclass(frozen=True)
class Photo:
    """Part of a photograph, or all of it."""

    name: str
    pixels: Tensor  # uint8 [3, H, W]
    boxes: Tensor  # float32 [N, 4]: x1, y1, x2, y2 in pixels
    labels: Tensor  # int64 [N]: indices of classes

    @property
    def height(self) -> int:
        return self.pixels.shape[1]

    @property
    def width(self) -> int:
        return self.pixels.shape[2]

    def window(self, left: int, top: int, width: int, height: int) -> "Photo":
        """The part of the photograph under a window, and the boxes of which enough is inside."""
        pixels = self.pixels[:, top : top + height, left : left + width]
        shifted = self.boxes - torch.tensor([left, top, left, top])
        clipped = clip_boxes(shifted, pixels.shape[2], pixels.shape[1])
        kept = areas(clipped) >= KEPT_AREA * areas(shifted)
        return Photo(self.name, pixels, clipped[kept], self.labels[kept])

    def split(self, fraction: float) -> tuple["Photo", "Photo"]:
        """The parts of the photograph left and right of a vertical line."""
        line = min(max(1, round(fraction * self.width)), self.width - 1)
        left = self.window(0, 0, line, self.height)
        return left, self.window(line, 0, self.width - line, self.height)


@dataclass(frozen=True)
class Dataset:
    classes: list[str]
    photos: list[Photo]

    def split(self, fraction: float) -> tuple["Dataset", "Dataset"]:
        """The left parts of all photographs to train on, and their right parts to hold out."""
        parts = [photo.split(fraction) for photo in self.photos]
        train = Dataset(self.classes, [left for left, _ in parts])
        held_out = Dataset(self.classes, [right for _, right in parts])
        for side, dataset in (("training (left)", train), ("held-out (right)", held_out)):
            if dataset.boxes == 0:
                raise UserError(f"split at {fraction}: no boxes are on the {side} side of any photograph")
        return train, held_out

    @property
    def boxes(self) -> int:
        return sum(len(photo.boxes) for photo in self.photos)


def areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def clip_boxes(boxes: Tensor, width: int, height: int) -> Tensor:
    limits = boxes.new_tensor([width, height, width, height])
    return torch.minimum(boxes.clamp(min=0), limits)


def read_tree_crowns() -> Dataset:
    """The two photographs of Yellowstone with every tree crown outlined that the package ``deepforest`` carries."""
    # The package is found, not imported: importing it would import all its dependencies.
    spec = importlib.util.find_spec("deepforest")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "the tree photographs are missing: run `pip install --no-deps deepforest==2.1.0`, or use --data"
        )
    folder = Path(spec.submodule_search_locations[0], "data")
    return read_voc(folder, sorted(folder.glob("2019_YELL_2_*_image_crop*.xml")))


def read_voc(folder: Path, annotations: Iterable[Path] | None = None) -> Dataset:
    """Pascal VOC: every XML file under ``folder``, and the images that they name, wherever under it these are."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    files = list(annotations) if annotations is not None else sorted(folder.rglob("*.xml"))
    if not files:
        raise UserError(f"{folder}: no Pascal VOC annotations (*.xml) in this folder")
    images = {path.name: path for path in folder.rglob("*") if path.suffix.lower() != ".xml"}
    parsed = [(file, *_parse_voc(file)) for file in files]
    classes = sorted({name for _, _, objects in parsed for name, _ in objects})
    photos = []
    for file, filename, objects in parsed:
        beside = file.with_name(filename)
        image = beside if beside.is_file() else images.get(filename)
        if image is None:
            raise UserError(f"{file}: its image {filename!r} is not in {folder}")
        photos.append(_photo(file, image, [box for _, box in objects], [classes.index(name) for name, _ in objects]))
    return Dataset(classes, photos)


def _parse_voc(file: Path) -> tuple[str, list[tuple[str, list[float]]]]:
    """The name of the image, and the class and the box of each object."""
    try:
        root = ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{file}: not well-formed XML ({error})") from error
    filename = root.findtext("filename")
    if not filename:
        raise UserError(f"{file}: no <filename> of an image")
    objects = []
    for item in root.iter("object"):
        try:
            box = [float(item.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")]
        except ValueError:
            raise UserError(f"{file}: an <object> without four numbers in its <bndbox>") from None
        objects.append((item.findtext("name", "object"), box))
    if not objects:
        raise UserError(f"{file}: no boxes (<object>) in this annotation")
    return filename, objects


def read_coco(file: Path, folder: Path) -> Dataset:
    """COCO: the images that one JSON file lists, in ``folder``. Crowds are left out."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    try:
        content = json.loads(file.read_text())
        categories = {category["id"]: category["name"] for category in content["categories"]}
        boxes_of: dict[Any, list[list[float]]] = {image["id"]: [] for image in content["images"]}
        labels_of: dict[Any, list[int]] = {key: [] for key in boxes_of}
        index = {key: i for i, key in enumerate(sorted(categories))}
        for item in content["annotations"]:
            if not item.get("iscrowd"):
                x, y, width, height = map(float, item["bbox"])
                boxes_of[item["image_id"]].append([x, y, x + width, y + height])
                labels_of[item["image_id"]].append(index[item["category_id"]])
        names = {image["id"]: image["file_name"] for image in content["images"]}
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: not a COCO file of boxes ({type(error).__name__}: {error})") from error
    if not any(boxes_of.values()):
        raise UserError(f"{file}: no boxes in this file")
    photos = [_photo(file, folder / names[key], boxes_of[key], labels_of[key]) for key in names]
    return Dataset([categories[key] for key in sorted(categories)], photos)


def read_image(file: Path) -> Tensor:
    """The pixels of an image as RGB, uint8 ``[3, H, W]``."""
    try:
        with Image.open(file) as opened:
            if opened.mode.startswith("I;16"):  # convert() would make all but the darkest white
                array = (np.asarray(opened) // 256).astype(np.uint8)[..., None].repeat(3, axis=2)
            elif opened.mode in ("I", "F"):
                raise ValueError(f"got 32 bits of grey (mode {opened.mode}), wants 8 or 16")
            else:
                array = np.array(opened.convert("RGB"))
    except FileNotFoundError:
        raise UserError(f"{file}: no such file") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{file}: not a readable image ({error})") from error
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def _photo(annotation: Path, image: Path, boxes: list[list[float]], labels: list[int]) -> Photo:
    if not image.is_file():
        raise UserError(f"{annotation}: its image {image} does not exist")
    pixels = read_image(image)
    if min(pixels.shape[1:]) < SMALLEST:
        raise UserError(
            f"{image}: got {pixels.shape[2]} x {pixels.shape[1]} pixels, wants {SMALLEST} x {SMALLEST} or more"
        )
    tensor = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    clipped = clip_boxes(tensor, pixels.shape[2], pixels.shape[1])
    if not bool((clipped[:, 2:] > clipped[:, :2]).all()):
        raise UserError(f"{annotation}: a box is empty or outside its image")
    return Photo(image.name, pixels, clipped, torch.tensor(labels, dtype=torch.int64))
