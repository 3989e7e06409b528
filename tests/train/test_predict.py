"""examples/predict.py: what it finds, draws and prints, and its errors."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from photographs import BOXES, apart, train_in, voc_folder, write_image
from PIL import Image
from torchvision.ops import box_iou

import predict
from detector.photos import UserError, read_image

voc = pytest.fixture(voc_folder)
alone = pytest.fixture(autouse=True)(apart)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows a bright rectangle."""
    folder = train_in(tmp_path_factory.mktemp("model"), "--steps", "120", "--batch-size", "4", "--lr", "0.01")
    return folder / "runs/train_detector/model.pt"


def drawn(path: Path) -> int:
    """How many pixels have the colour of the boxes."""
    colour = np.array([int(predict.COLOUR[i : i + 2], 16) for i in (1, 3, 5)])
    return int((np.array(Image.open(path)) == colour).all(-1).sum())


def test_predict_finds_and_draws_what_it_was_trained_on(model, voc, monkeypatch, capsys):
    found = []
    detect = predict.detect
    monkeypatch.setattr(predict, "detect", lambda *arguments: found.append(detect(*arguments)) or found[-1])
    assert predict.main([str(model), str(voc / "a.png"), str(voc / "b.png"), "--score", "0.3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name, line, detections in zip(BOXES, lines, found, strict=True):
        boxes = detections.above(0.3).boxes
        assert line == f"{voc / name}: {len(boxes)} boxes, drawn in runs/predict/{name}"
        assert bool((box_iou(torch.tensor(BOXES[name]).float(), boxes).amax(1) > 0.5).all())
        assert drawn(Path("runs/predict", name)) > 100 and drawn(voc / name) == 0
        assert Image.open(Path("runs/predict", name)).size == Image.open(voc / name).size


def test_a_score_that_nothing_has_draws_nothing(model, voc, capsys):
    arguments = [str(model.parent), str(voc / "a.png"), "--score", "0.999999", "--output", "some/where"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert predict.main(arguments) == 0
    assert capsys.readouterr().out == f"{voc / 'a.png'}: 0 boxes, drawn in some/where/a.png\n"
    assert torch.equal(read_image(Path("some/where/a.png")), read_image(voc / "a.png"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (7, 5), (91, 53)])
def test_images_of_any_size_and_colours(model, mode, size, capsys):
    pixels = torch.randint(256, (size[1], size[0], 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    image = Image.fromarray(pixels.numpy())
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    else:
        image = image.convert(mode)
    assert image.mode == mode
    image.save("image.tif")
    assert predict.main([str(model), "image.tif", "--score", "0.03"]) == 0
    assert capsys.readouterr().out.startswith("image.tif: ")
    with Image.open("runs/predict/image.png") as picture:
        assert (picture.size, picture.mode) == (size, "RGB")


def test_sixteen_bits_of_grey_are_not_all_white():
    shades = np.arange(256, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(shades * 256 + 255).save("image.png")
    assert read_image(Path("image.png")).tolist() == [shades.tolist()] * 3


def test_more_bits_of_grey_are_refused():
    Image.fromarray(np.ones((20, 20), dtype=np.float32)).save("image.tif")
    with pytest.raises(UserError, match=r"image.tif: not a readable image \(got 32 bits of grey"):
        read_image(Path("image.tif"))


def test_pictures_overwrite_neither_images_nor_each_other(model, capsys):
    for folder in ("a", "b"):
        Path(folder).mkdir()
        write_image(Path(folder, "x.png"), BOXES["a.png"])
    before = Path("a/x.png").read_bytes()
    assert predict.main([str(model), "a/x.png", "b/x.png", "--output", "a"]) == 0
    assert [line.rsplit(" ", 1)[1] for line in capsys.readouterr().out.splitlines()] == ["a/x-2.png", "a/x-3.png"]
    assert Path("a/x.png").read_bytes() == before
    assert sorted(path.name for path in Path("a").iterdir()) == ["x-2.png", "x-3.png", "x.png"]


def test_an_image_that_cannot_be_read_does_not_keep_the_others(model, voc, capsys):
    Path("text.png").write_text("no image")
    Path("cut.png").write_bytes((voc / "a.png").read_bytes()[:1000])
    images = ["missing.png", str(voc), "text.png", "cut.png", str(voc / "a.png")]
    assert predict.main([str(model), *images]) == 2
    output = capsys.readouterr()
    assert output.out.startswith(f"{voc / 'a.png'}: ") and output.out.count("\n") == 1
    errors = output.err.splitlines()
    assert len(errors) == 4 and all(line.startswith("predict.py: error: ") for line in errors)
    for line, text in zip(
        errors, ["missing.png: no such file", f"{voc}: not a readable", "text.png: not", "cut.png: not"], strict=True
    ):
        assert text in line


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["model.pt"], "the following arguments are required: IMAGE"),
        (["model.pt", "a.png", "--score", "2"], "argument --score: got 2, wants a share between 0 and 1"),
        (["model.pt", "a.png", "--device", "abacus"], "argument --device: got abacus: "),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as left:
        predict.main(arguments)
    error = capsys.readouterr().err
    assert left.value.code == 2 and error.startswith("usage: predict.py ") and message in error


def test_an_output_folder_that_cannot_be(model, voc, capsys):
    assert predict.main([str(model), str(voc / "a.png"), "--output", str(voc / "a.png")]) == 2
    assert capsys.readouterr().err == f"predict.py: error: {voc / 'a.png'}: File exists\n"
