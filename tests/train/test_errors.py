"""What examples/train_detector.py says of data, models and arguments that are wrong."""

import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from photographs import TINY, apart, coco_file, voc_folder, voc_xml
from PIL import Image

import predict
import train_detector
from detector import saved

voc = pytest.fixture(voc_folder)
coco = pytest.fixture(coco_file)
alone = pytest.fixture(autouse=True)(apart)


def spoil_missing_image(voc: Path) -> None:
    (voc / "a.png").unlink()


def spoil_broken_image(voc: Path) -> None:
    (voc / "a.png").write_bytes(b"no image")


def spoil_truncated_image(voc: Path) -> None:
    (voc / "a.png").write_bytes((voc / "a.png").read_bytes()[:1000])


def spoil_small_image(voc: Path) -> None:
    Image.new("RGB", (90, 3)).save(voc / "a.png")


def spoil_no_boxes(voc: Path) -> None:
    (voc / "a.xml").write_text(voc_xml("a.png", []))


def spoil_empty_box(voc: Path) -> None:
    (voc / "a.xml").write_text(voc_xml("a.png", [(5, 5, 5, 9)]))


def spoil_words_for_numbers(voc: Path) -> None:
    (voc / "a.xml").write_text(voc_xml("a.png", [("one", 5, 5, 9)]))


def spoil_xml(voc: Path) -> None:
    (voc / "a.xml").write_text("<annotation>")


def spoil_no_filename(voc: Path) -> None:
    (voc / "a.xml").write_text("<annotation/>")


def spoil_no_xml(voc: Path) -> None:
    for file in voc.glob("*.xml"):
        file.unlink()


@pytest.mark.parametrize(
    "spoil, message",
    [
        (spoil_missing_image, "a.xml: its image 'a.png' is not in"),
        (spoil_broken_image, "a.png: not a readable image"),
        (spoil_truncated_image, "a.png: not a readable image"),
        (spoil_small_image, "a.png: got 90 x 3 pixels, wants 16 x 16 or more"),
        (spoil_no_boxes, "a.xml: no boxes (<object>)"),
        (spoil_empty_box, "a.xml: a box is empty or outside its image"),
        (spoil_words_for_numbers, "a.xml: an <object> without four numbers"),
        (spoil_xml, "a.xml: not well-formed XML"),
        (spoil_no_filename, "a.xml: no <filename>"),
        (spoil_no_xml, "voc: no Pascal VOC annotations (*.xml)"),
    ],
)
def test_broken_voc(voc, spoil, message, capsys):
    spoil(voc)
    assert_error([*TINY, "--data", str(voc)], message, capsys)


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "instances.json: no such file"),
        ("{", "instances.json: not a COCO file of boxes (JSONDecodeError"),
        ("[]", "instances.json: not a COCO file of boxes (TypeError"),
        ('{"images": []}', "instances.json: not a COCO file of boxes (KeyError: 'categories')"),
        ('{"images": [], "categories": [], "annotations": []}', "instances.json: no boxes"),
        (
            '{"images": [{"id": 1, "file_name": "c.png"}], "categories": [{"id": 1, "name": "tree"}],'
            ' "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]}',
            "c.png does not exist",
        ),
    ],
)
def test_broken_coco(coco, content, message, capsys):
    coco.unlink() if content is None else coco.write_text(content)
    assert_error([*TINY, "--coco", str(coco), "--images", str(coco.parent)], message, capsys)


def write_text(file: Path) -> None:
    file.write_text("no model\n" * 100)


def write_nothing(file: Path) -> None:
    file.touch()


def write_pickle(file: Path) -> None:
    file.write_bytes(pickle.dumps(SimpleNamespace(format=saved.FORMAT)))


def write_picture(file: Path) -> None:
    Image.new("RGB", (40, 40)).save(file, format="PNG")


def write_weights(file: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), file)


def write_tensor(file: Path) -> None:
    torch.save(torch.ones(3), file)


def write_another_format(file: Path) -> None:
    torch.save({"format": "iouloss detector 99"}, file)


def write_half(file: Path) -> None:
    torch.save({"format": saved.FORMAT, "weights": torch.ones(1000)}, file)
    file.write_bytes(file.read_bytes()[:2000])


@pytest.mark.parametrize("command", ["train", "predict"])
@pytest.mark.parametrize(
    "write",
    [
        write_text,
        write_nothing,
        write_pickle,
        write_picture,
        write_weights,
        write_tensor,
        write_another_format,
        write_half,
        None,
    ],
)
def test_what_is_no_model(voc, write, command, capsys):
    file = Path("file.pt")
    if write:
        write(file)
    if command == "train":
        code = train_detector.main([*TINY, "--resume", "file.pt"])
    else:
        code = predict.main(["file.pt", str(voc / "a.png")])
    output = capsys.readouterr()
    assert code == 2 and output.out == "" and output.err.count("\n") == 1
    assert f"error: file.pt: {'not a model of train_detector.py (' if write else 'no such file'}" in output.err
    assert not Path("runs").exists()


def test_a_folder_without_a_model(capsys):
    assert_error([*TINY, "--resume", "."], "error: model.pt: no such file", capsys)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--box-loss", "abacus"], "argument --box-loss: invalid choice: 'abacus' (choose from"),
        (["--backend", "torchvision", "--box-loss", "eiou"], "--box-loss eiou: torchvision has only giou, diou, ciou"),
        (["--steps", "0"], "argument --steps: got 0, wants a whole number, 1 or more"),
        (["--steps", "many"], "argument --steps: got many, wants a whole number, 1 or more"),
        (["--steps", "1.5"], "argument --steps: got 1.5, wants a whole number"),
        (["--batch-size", "-2"], "argument --batch-size: got -2, wants a whole number, 1 or more"),
        (["--crop", "31"], "argument --crop: got 31, wants a whole number, 32 or more"),
        (["--seed", "-1"], "argument --seed: got -1, wants"),
        (["--seed", str(2**64)], f"argument --seed: got {2**64}, wants"),
        (["--threads", "100000"], "argument --threads: got 100000, wants a whole number, 0 to 1024"),
        (["--lr", "0"], "argument --lr: got 0, wants a number above 0, up to 1"),
        (["--lr", "nan"], "argument --lr: got nan, wants"),
        (["--box-weight", "-1"], "argument --box-weight: got -1, wants 0 or more"),
        (["--box-weight", "inf"], "argument --box-weight: got inf, wants 0 or more"),
        (["--split", "1"], "argument --split: got 1, wants a share between 0 and 1"),
        (["--data", "a", "--coco", "b", "--images", "c"], "--data and --coco: one of them at a time"),
        (["--coco", "b"], "--coco and --images: both or neither"),
        (["--device", "abacus"], "argument --device: got abacus: "),
        (["--device", "meta"], "argument --device: got meta: "),
        (["--leap"], "unrecognized arguments: --leap"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    """Exit code 2, the usage and a line that says what."""
    with pytest.raises(SystemExit) as left:
        train_detector.main(arguments)
    output = capsys.readouterr()
    assert left.value.code == 2 and output.out == ""
    assert output.err.startswith("usage: train_detector.py ")
    assert output.err.splitlines()[-1].startswith("train_detector.py: error: ") and message in output.err


def test_wrong_arguments_are_told_by_the_first_of_several_processes(monkeypatch, capsys):
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit) as left:
        train_detector.main(["--steps", "0"])
    assert left.value.code == 2 and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--coco", "b", "--images", "nowhere"], "nowhere: no such folder"),
        (["--data", "voc", "--crop", "100000"], "--crop: got 100000, more than any photograph has"),
        (["--data", "voc", "--crop", "68"], "the largest to train on (a.png) has 67 x 64 pixels"),
        (["--data", "voc", "--name", "../voc/a.png"], "runs/../voc/a.png: File exists"),
    ],
)
def test_wrong_data(voc, arguments, message, capsys):
    assert_error([*TINY, *arguments], message, capsys)


def assert_error(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and one line that says what."""
    assert train_detector.main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("train_detector.py: error: ") and output.err.count("\n") == 1
    assert message in output.err
    assert not list(Path("runs").rglob("*"))
