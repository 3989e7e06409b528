"""examples/train_detector.py: its readers, split, crops and average precision, and whole small runs."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from photographs import BOXES, EXAMPLES, HEIGHT, TINY, WIDTH, apart, coco_file, voc_folder, voc_xml, write_image
from PIL import Image
from torch import Tensor

import train_detector
from detector import batches
from detector.batches import RADIUS, Crops, assign
from detector.evaluate import Detections, average_precision
from detector.model import Detector, grid_points
from detector.photos import Dataset, Photo, UserError, read_coco, read_tree_crowns, read_voc

voc = pytest.fixture(voc_folder)
coco = pytest.fixture(coco_file)
alone = pytest.fixture(autouse=True)(apart)


def photo(boxes: list[list[float]], width: int = WIDTH, height: int = HEIGHT) -> Photo:
    pixels = torch.zeros(3, height, width, dtype=torch.uint8)
    labels = torch.zeros(len(boxes), dtype=torch.int64)
    return Photo("photo", pixels, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), labels)


def train(*arguments: object) -> dict:
    assert train_detector.main([*TINY, *map(str, arguments)]) == 0
    return json.loads(Path("runs/train_detector/metrics.json").read_text())


def without_timings(metrics: dict) -> dict:
    return {key: value for key, value in metrics.items() if key != "timings"}


# Reading


def test_voc(voc):
    dataset = read_voc(voc)
    assert dataset.classes == ["crown"]
    assert [photo.name for photo in dataset.photos] == ["a.png", "b.png"]
    for photo in dataset.photos:
        assert photo.pixels.shape == (3, HEIGHT, WIDTH)
        assert photo.boxes.tolist() == [list(box) for box in BOXES[photo.name]]
        x1, y1, x2, y2 = photo.boxes[0].int().tolist()
        assert bool((photo.pixels[:, y1:y2, x1:x2] == 220).all())


def test_voc_in_the_folders_of_the_challenge(tmp_path):
    for folder in ("Annotations", "JPEGImages"):
        (tmp_path / folder).mkdir()
    write_image(tmp_path / "JPEGImages/a.png", BOXES["a.png"])
    (tmp_path / "Annotations/a.xml").write_text(voc_xml("a.png", BOXES["a.png"], "dog"))
    dataset = read_voc(tmp_path)
    assert dataset.classes == ["dog"] and dataset.boxes == 3


def test_coco(coco):
    dataset = read_coco(coco, coco.parent)
    assert dataset.classes == ["pine", "spruce"]
    assert [photo.boxes.tolist() for photo in dataset.photos] == [
        [list(box) for box in boxes] for boxes in BOXES.values()
    ]
    assert [photo.labels.tolist() for photo in dataset.photos] == [[0, 1, 1], [0, 1]]


@pytest.mark.skipif(importlib.util.find_spec("deepforest") is None, reason="the package deepforest is not installed")
def test_tree_crowns():
    dataset = read_tree_crowns()
    assert [len(photo.boxes) for photo in dataset.photos] == [574, 279]
    assert "deepforest" not in sys.modules  # what it depends on need not be there


def test_tree_crowns_without_their_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps deepforest"):
        read_tree_crowns()


# Windows and crops


def test_split_shares_out_boxes_and_cuts_those_on_the_line():
    whole = photo([[0, 0, 10, 10], [48, 0, 68, 10], [80, 0, 90, 10], [59, 20, 79, 30]])
    left, right = whole.split(0.625)  # at 60
    assert (left.width, right.width) == (60, 36)
    assert left.boxes.tolist() == [[0, 0, 10, 10], [48, 0, 60, 10]]
    assert right.boxes.tolist() == [[0, 0, 8, 10], [20, 0, 30, 10], [0, 20, 19, 30]]  # 40 % of the first is left


def test_split_wants_boxes_on_both_sides():
    with pytest.raises(UserError, match="held-out"):
        Dataset(["tree"], [photo([[0, 0, 10, 10]])]).split(0.5)


@pytest.mark.parametrize("size", [32, 80])  # 80: taller than the photograph, which is filled up
def test_crops_show_what_their_boxes_say(voc, size, monkeypatch):
    for name in ("ZOOM", "LIGHT", "TINT"):
        monkeypatch.setattr(batches, name, 1.0)
    dataset = read_voc(voc)
    crops = Crops(dataset, size, seed=0)
    assert sum(len(crops.crop(number).boxes) for number in range(20)) > 10
    for number in range(20):
        crop = crops.crop(number)
        assert crop.pixels.shape == (3, size, size)
        for x1, y1, x2, y2 in crop.boxes.int().tolist():
            assert bool((crop.pixels[:, y1:y2, x1:x2] == 220).all())
        assert torch.equal(crop.pixels, Crops(dataset, size, seed=0).crop(number).pixels)


def test_zoomed_crops_show_what_their_boxes_say(voc, monkeypatch):
    monkeypatch.setattr(batches, "TINT", 1.0)
    crops = Crops(read_voc(voc), 32, seed=0)
    sizes, shades = set(), set()
    for number in range(20):
        crop = crops.crop(number)
        for x1, y1, x2, y2 in crop.boxes.tolist():
            inside = crop.pixels[:, math.ceil(y1) + 1 : int(y2) - 1, math.ceil(x1) + 1 : int(x2) - 1]
            if inside.numel() > 0:
                assert inside.min() == inside.max() > 180
                shades.add(inside.max().item())
            sizes.add(round(x2 - x1, 3))
    assert len(sizes) > 5 and len(shades) > 5


def test_batch_points_to_the_boxes_of_its_positives(voc):
    crops = Crops(read_voc(voc), 32, seed=1)
    batch = crops.batch(range(6))
    assert batch.classes.shape == (6 * 16,)
    assert torch.equal(batch.positives, (batch.classes == 0).nonzero().flatten())
    assert len(batch.targets) == len(batch.positives) > 0
    points = grid_points(32, 32).repeat(6, 1)[batch.positives]
    centres = (batch.targets[:, :2] + batch.targets[:, 2:]) / 2
    assert bool(((points - centres).abs() <= RADIUS).all())


def test_assignment():
    points = grid_points(64, 64)

    def found(*boxes: list[float]) -> Tensor:
        return assign(points, torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)).reshape(8, 8)

    assert bool((found() == -1).all())
    assert int((found([1, 1, 4, 4]) == 0).sum()) == 1  # smaller than the grid
    large = found([0, 0, 64, 64])
    assert large[3:5, 3:5].eq(0).all() and large[0, 0] == -1
    assert found([0, 0, 64, 64], [26, 26, 38, 38])[3, 3] == 1  # the smaller of two


def test_model_takes_any_size_and_starts_from_the_prior():
    model = Detector(3, [100, 100, 100], box_size=40, prior=0.01)
    images = torch.randint(0, 255, (2, 3, 53, 91), dtype=torch.uint8)
    with torch.no_grad():
        logits, boxes = model(images)
    assert logits.shape == (2, 7 * 12, 3) and boxes.shape == (2, 7 * 12, 4)
    assert 0.005 < float(logits.sigmoid().mean()) < 0.02
    assert float((boxes[..., 2:] - boxes[..., :2]).mean()) == pytest.approx(40, rel=0.2)


# Precision


def test_average_precision_counts_more_than_a_hundred_boxes():
    boxes = [[10.0 * i, 10.0 * j, 10.0 * i + 8, 10.0 * j + 8] for i in range(15) for j in range(15)]
    truth = photo(boxes, 150, 150)
    perfect = Detections(truth.boxes, torch.linspace(1, 0.5, len(boxes)), truth.labels)
    assert average_precision([truth], [perfect], 1) == pytest.approx({"AP": 1, "AP50": 1, "AP75": 1})
    half = Detections(truth.boxes[::2], perfect.scores[::2], truth.labels[::2])
    assert average_precision([truth], [half], 1)["AP50"] == pytest.approx(0.5, abs=0.01)


def test_average_precision_of_nothing_found():
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    assert average_precision([photo([[0, 0, 9, 9]])], [nothing], 1) == {"AP": 0, "AP50": 0, "AP75": 0}


# Runs


def test_run_writes_its_files_and_repeats_itself(voc, capsys):
    first = train("--data", voc)
    folder = Path("runs/train_detector")
    assert sorted(file.name for file in folder.iterdir()) == [
        "curves.png",
        "metrics.json",
        "model.pt",
        "predictions.png",
    ]
    for name in ("curves.png", "predictions.png"):
        with Image.open(folder / name) as image:
            assert min(image.size) > 200
    assert 0 <= first["results"]["AP50"] <= 1
    assert len(first["history"]["focal"]) == 5
    for loss in first["losses"].values():
        assert loss["peer"] == "torchvision"
        assert loss["loss_difference"] < 1e-5 and loss["gradient_difference"] < 1e-4
    assert "held out" in capsys.readouterr().out
    assert without_timings(train("--data", voc)) == without_timings(first)
    assert train("--data", voc, "--seed", 1)["history"] != first["history"]


def test_run_on_coco_with_a_loss_that_torchvision_lacks(coco):
    metrics = train("--coco", coco, "--images", coco.parent, "--box-loss", "eiou")
    assert metrics["losses"]["eiou"]["peer"] == "reference"
    assert metrics["losses"]["eiou"]["loss_difference"] < 1e-5


def test_backends_train_alike(voc):
    ours, theirs = (train("--data", voc, "--backend", backend)["history"] for backend in ("iouloss", "torchvision"))
    for name in ("focal", "box"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-3)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_processes_agree_with_one_on_the_doubled_batch(voc):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(EXAMPLES / "train_detector.py"), *TINY, "--data", str(voc)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    two = json.loads(Path("runs/train_detector/metrics.json").read_text())
    one = train("--data", voc, "--batch-size", 4)
    for name in ("focal", "box"):
        assert two["history"][name] == pytest.approx(one["history"][name], rel=1e-5)
