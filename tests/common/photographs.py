"""What the tests of the detector share: small photographs with boxes, small trainings, and bodies of fixtures."""

# ruff: noqa: E402  (the last imports wait until it is known that what they need is there)

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

for package in ("torchvision", "PIL", "matplotlib", "pycocotools", "tqdm"):  # else what imports this is skipped
    pytest.importorskip(package, reason=f"training a detector needs {package}")

from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))

import train_detector

WIDTH, HEIGHT = 96, 64
BOXES = {"a.png": [(4, 6, 20, 24), (40, 30, 58, 50), (72, 8, 90, 30)], "b.png": [(10, 30, 30, 48), (70, 20, 94, 40)]}
TINY = ["--steps", "5", "--crop", "32", "--batch-size", "2", "--device", "cpu", "--threads", "1"]


def write_image(path: Path, boxes: list[tuple[int, int, int, int]]) -> None:
    """Grey noise with a bright rectangle at each box."""
    pixels = torch.randint(60, 90, (HEIGHT, WIDTH, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for x1, y1, x2, y2 in boxes:
        pixels[y1:y2, x1:x2] = 220
    Image.fromarray(pixels.numpy()).save(path)


def voc_xml(filename: str, boxes: list[tuple[int, int, int, int]], name: str = "crown") -> str:
    objects = "".join(
        f"<object><name>{name}</name><bndbox>"
        f"<xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for x1, y1, x2, y2 in boxes
    )
    return f"<annotation><filename>{filename}</filename>{objects}</annotation>"


def voc_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "voc"
    folder.mkdir()
    for name, boxes in BOXES.items():
        write_image(folder / name, boxes)
        (folder / name).with_suffix(".xml").write_text(voc_xml(name, boxes))
    return folder


def coco_file(voc: Path) -> Path:
    """A COCO file of the same boxes: with category numbers that are not 0, 1, ..., and a crowd."""
    images = [{"id": 10 + i, "file_name": name} for i, name in enumerate(BOXES)]
    annotations = [
        {"image_id": 10 + i, "category_id": 7 if k else 3, "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0}
        for i, boxes in enumerate(BOXES.values())
        for k, (x1, y1, x2, y2) in enumerate(boxes)
    ]
    annotations.append({"image_id": 10, "category_id": 3, "bbox": [0, 0, 96, 64], "iscrowd": 1})
    categories = [{"id": 7, "name": "spruce"}, {"id": 3, "name": "pine"}]
    file = voc / "instances.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test in a folder of its own, which leaves torch's threads as they were."""
    threads = torch.get_num_threads()
    monkeypatch.chdir(tmp_path)
    yield
    torch.set_num_threads(threads)


def train_in(folder: Path, *arguments: str) -> Path:
    """A tiny training on the photographs, in a folder of its own."""
    voc_folder(folder)
    with pytest.MonkeyPatch.context() as patch:
        run = apart(folder, patch)
        next(run)
        assert train_detector.main([*TINY, "--data", "voc", *arguments]) == 0
        next(run, None)
    return folder
