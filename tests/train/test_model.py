"""model.pt of examples/train_detector.py: what is in it, resuming from it, and stopping early."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from photographs import EXAMPLES, TINY, apart, coco_file, train_in, voc_folder
from PIL import Image

import iouloss
import train_detector
from detector import saved, training
from detector.evaluate import Limits, detect
from detector.model import Detector
from detector.photos import UserError, read_image
from detector.stopping import Stop
from detector.training import Trainer

voc = pytest.fixture(voc_folder)
coco = pytest.fixture(coco_file)
alone = pytest.fixture(autouse=True)(apart)

FOLDER = Path("runs/train_detector")
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch):
    """Ctrl-C as in a terminal, whatever started the tests, and afterwards as it was."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_in(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def trained(alone: None, trained_once: Path) -> Path:
    """The photographs in ``voc``, and what ``train("--data", "voc")`` left."""
    shutil.copytree(trained_once, ".", dirs_exist_ok=True)
    return Path("voc")


def train(*arguments: object) -> int:
    return train_detector.main([*TINY, *map(str, arguments)])


def results() -> tuple[dict, dict]:
    """What a run left, but its timings: ``metrics.json`` and ``model.pt``."""
    metrics = json.loads((FOLDER / "metrics.json").read_text())
    content = torch.load(FOLDER / "model.pt", weights_only=True)
    del metrics["timings"], content["training"]["seconds"]
    return metrics, content


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, tensors included."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def before_step(monkeypatch: pytest.MonkeyPatch, number: int, act: Any) -> None:
    """``act`` before that step of a training, counted from 1."""
    step = Trainer.step

    def acting(self: Trainer, batch: Any) -> Any:
        if len(self.history) + 1 == number:
            act()
        return step(self, batch)

    monkeypatch.setattr(Trainer, "step", acting)


# What is in the file


def test_the_model_is_all_it_takes_to_find_the_same(voc, monkeypatch):
    runs = []
    run = Trainer.run
    monkeypatch.setattr(Trainer, "run", lambda *arguments: runs.append(run(*arguments)) or runs[0])
    assert train("--data", voc, "--box-loss", "eiou", "--box-weight", 2) == 0
    content = torch.load(FOLDER / "model.pt", weights_only=True)
    assert content["iouloss"] == iouloss.__version__
    assert (content["config"]["box_loss"], content["config"]["crop"], content["classes"]) == ("eiou", 32, ["crown"])
    assert content["training"]["step"] == 5
    pixels = read_image(voc / "a.png")
    found = detect(saved.detector(content), pixels, CPU, Limits(**content["detection"] | {"score": 0.0}))
    wanted = detect(runs[0].model, pixels, CPU, Limits(score=0.0))
    assert len(found.boxes) > 10 and same(vars(found), vars(wanted))


@pytest.mark.parametrize(
    "option, value",
    [
        ("classes", 4),
        ("colour", [1.0, 2.0, 3.0]),
        ("box_size", 12.5),
        ("prior", 0.2),
        ("widths", [8, 16, 24, 32]),
        ("deviation", 40.0),
    ],
)
def test_the_architecture_makes_the_same_model(option, value):
    model = Detector(**{"classes": 2, "colour": [90.0, 80.0, 70.0], "box_size": 30.0, option: value})
    assert model.architecture[option] == value
    again = saved.detector({"architecture": model.architecture, "state_dict": model.state_dict()})
    images = torch.full((1, 3, 40, 32), 90, dtype=torch.uint8)
    assert same(model(images), again(images))


# Resuming


def stop_after(number: int, monkeypatch: pytest.MonkeyPatch, arguments: list[object]) -> None:
    with monkeypatch.context() as patch:
        before_step(patch, number, lambda: signal.raise_signal(signal.SIGINT))
        assert train(*arguments) == 130
    assert results()[1]["training"]["step"] == number


@pytest.mark.parametrize("last", [1, 3, 5])
def test_a_resumed_training_comes_to_the_same_numbers(trained, monkeypatch, last):
    whole = results()
    stop_after(last, monkeypatch, ["--data", trained])
    assert train_detector.main(["--resume", str(FOLDER)]) == 0  # all that was said before is known
    assert same(results(), whole)


def test_a_training_of_other_arguments_is_resumed_with_them(coco, monkeypatch):
    source = ["--coco", coco, "--images", coco.parent]
    arguments = [*source, "--steps", 34, "--seed", 3, "--lr", 0.01, "--box-loss", "eiou"]
    assert train(*arguments) == 0
    whole = results()
    # Not every step is recorded for the comparison: none before the first stop, and some on each side of the second.
    stop_after(1, monkeypatch, arguments)
    stop_after(17, monkeypatch, ["--resume", FOLDER, *arguments])
    assert train_detector.main(["--resume", str(FOLDER / "model.pt")]) == 0
    assert same(results(), whole)


def test_a_killed_training_loses_little(trained, monkeypatch):
    whole = results()

    def kill() -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(training, "SAVED_EVERY", 0.0)
        patch.setattr(training, "SHOWN_EVERY", 2)
        before_step(patch, 4, kill)
        with pytest.raises(MemoryError):
            train("--data", trained)
    assert torch.load(FOLDER / "model.pt", weights_only=True)["training"]["step"] == 2
    assert train("--resume", FOLDER / "model.pt") == 0
    assert same(results(), whole)


def test_a_write_that_fails_leaves_the_file_that_was_there(trained, monkeypatch):
    before = (FOLDER / "model.pt").read_bytes()

    def half(content: object, path: Path) -> None:
        path.write_bytes(before[:1000])
        raise MemoryError

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(MemoryError):
        train("--data", trained, "--seed", 1)
    assert (FOLDER / "model.pt").read_bytes() == before


def other_pixel(voc: Path) -> None:
    pixels = read_image(voc / "a.png")
    pixels[0, 0, 0] += 1
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(voc / "a.png")


def other_box(voc: Path) -> None:
    file = voc / "a.xml"
    file.write_text(file.read_text().replace("<xmin>4<", "<xmin>5<"))


def other_class(voc: Path) -> None:
    file = voc / "a.xml"
    file.write_text(file.read_text().replace("crown", "tree"))


@pytest.mark.parametrize(
    "arguments, change, named",
    [
        (["--steps", 6], None, ["--steps: got 6, wants 5"]),
        (["--batch-size", 3, "--crop", 40], None, ["--batch-size: got 3, wants 2", "--crop: got 40, wants 32"]),
        (["--lr", 0.1], None, ["--lr: got 0.1, wants 0.003"]),
        (["--seed", 1], None, ["--seed: got 1, wants 0"]),
        (["--box-loss", "giou"], None, ["--box-loss: got giou, wants ciou"]),
        (["--box-weight", 2], None, ["--box-weight: got 2.0, wants 1.0"]),
        (["--backend", "torchvision"], None, ["--backend: got torchvision, wants iouloss"]),
        (["--split", 0.65], None, ["--split: got 0.65, wants 0.7", "photographs: got "]),
        ([], other_pixel, ["photographs: got "]),
        ([], other_box, ["photographs: got "]),
        ([], other_class, ["classes: got ['crown', 'tree'], wants ['crown']"]),
    ],
)
def test_another_training_is_not_resumed(trained, arguments, change, named, capsys):
    before = (FOLDER / "model.pt").read_bytes()
    if change:
        change(trained)
    capsys.readouterr()
    assert train_detector.main(["--resume", str(FOLDER), *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"--resume {FOLDER}: this was trained otherwise: " in error
    for text in named:
        assert text in error
    assert error.count("wants") == len(named) + (change is other_class)
    assert (FOLDER / "model.pt").read_bytes() == before


def test_as_many_processes_resume(voc):
    args, _ = train_detector.parse([*TINY, "--data", str(voc)])
    dataset = train_detector.read(args)
    before, now = (train_detector.describe_run(args, dataset, training.Ranks(0, size)) for size in (2, 1))
    with pytest.raises(UserError, match="otherwise: processes: got 1, wants 2"):
        train_detector.check_same(FOLDER, before, now)


def test_photographs_may_have_moved_and_results_go_elsewhere(trained):
    whole = results()
    trained.rename("moved")
    assert train("--data", "moved", "--resume", FOLDER, "--name", "again", "--threads", 2) == 0
    again = json.loads(Path("runs/again/metrics.json").read_text())
    assert again["results"] == whole[0]["results"] and again["config"]["data"] == "moved"


# Stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_is_evaluated_and_written(voc, monkeypatch, capsys, number):
    before_step(monkeypatch, 2, lambda: signal.raise_signal(number))
    assert train("--data", voc) == 128 + number
    assert sorted(file.name for file in FOLDER.iterdir()) == [
        "curves.png",
        "metrics.json",
        "model.pt",
        "predictions.png",
    ]
    metrics, content = results()
    assert metrics["steps"] == len(metrics["history"]["focal"]) == content["training"]["step"] == 2
    output = capsys.readouterr()
    assert f"stopped by {number.name} after 2 of 5 steps" in output.out and f"to go on: --resume {FOLDER}" in output.out
    assert "Traceback" not in output.err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_signal_while_evaluating_lets_it_end(voc, monkeypatch):
    average_precision = train_detector.average_precision

    def signalled(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return average_precision(*arguments)

    monkeypatch.setattr(train_detector, "average_precision", signalled)
    assert train("--data", voc) == 130
    assert results()[0]["steps"] == 5


def test_a_signal_while_reading_ends_at_once(monkeypatch, capsys):
    monkeypatch.setattr(train_detector, "read", lambda _: signal.raise_signal(signal.SIGINT))
    assert train() == 130
    assert capsys.readouterr().err == "train_detector.py: stopped before the training began\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(number):
    twice = f"with Stop() as s: print(s.exit_code); raise_signal({number:d}); print(s.exit_code, flush=True); "
    code = "from signal import *; signal(SIGINT, default_int_handler); from detector.stopping import Stop\n" + twice
    code += f"raise_signal({number:d}); print('went on')"
    run = subprocess.run([sys.executable, "-c", code], cwd=EXAMPLES, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (-number, f"0\n{128 + number}\n", "")


def test_ctrl_c_stays_ignored_in_the_background():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Stop() as stop:
        signal.raise_signal(signal.SIGINT)
    assert stop.signal is None and signal.getsignal(signal.SIGINT) == signal.SIG_IGN


@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("here", [False, True])
def test_ranks_stop_together(here, elsewhere):
    """As soon as one of them is to stop, and all after the same step."""
    ranks = SimpleNamespace(size=2, mean=lambda tensor: (tensor + float(elsewhere)) / 2)
    trainer = SimpleNamespace(ranks=ranks, device=CPU)
    stop = SimpleNamespace(signal=signal.SIGINT if here else None)
    stopping = [step + 1 for step in range(2 * training.SHOWN_EVERY) if Trainer.agreed(trainer, stop, step)]
    assert stopping == ([training.SHOWN_EVERY, 2 * training.SHOWN_EVERY] if here or elsewhere else [])


def test_losses_that_are_not_finite_end_the_training(voc, monkeypatch, capsys):
    step = Trainer.step

    def without_a_number(self: Trainer, batch: Any) -> Any:
        head, losses = step(self, batch)
        return head, losses * torch.tensor([1.0, float("nan")])

    monkeypatch.setattr(Trainer, "step", without_a_number)
    assert train("--data", voc) == 2
    error = capsys.readouterr().err
    assert (
        "train_detector.py: error: step 5: the focal loss is " in error and "the ciou loss nan; try less than" in error
    )
    assert not (FOLDER / "model.pt").exists()
