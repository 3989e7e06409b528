"""The pages: complete, their links and pictures there, formulas as GitHub renders them, numbers as measured."""

import inspect
import json
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import random_boxes, uniform

import iouloss
from benchmarks import gpu_counts, roofline
from benchmarks.gpu_budgets import ALL_WAYS, BUDGETS, ONE, OTHER

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("losses/*.md"))
LINKED = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md")), *PAGES]
LARGEST_PICTURE = 60_000  # bytes
LOSSES = [name for name in iouloss.functional.__all__ if name != "box_loss"]  # which is any of the box losses
BOXES = ("ciou", "giou", "diou", "eiou")
ROWS = ("softmax_focal", "cross_entropy", "distribution_focal", "kl_div", "entropy")
TITLES = {  # in docs/speed.md
    "gaussian_focal": "Gaussian focal",
    "varifocal": "varifocal",
    "quality_focal": "quality focal",
    "distribution_focal": "distribution focal",
    "entropy": "entropy",
    "kl_div": "KL",
    "focal_tversky": "focal Tversky",
    "cross_entropy": "softmax cross entropy",
    "binary_cross_entropy": "binary cross entropy",
    "softmax_focal": "softmax focal (MONAI's takes 18 times as long as ours, kornia's 6.3)",
    "dice": "Dice (segmentation_models' takes 4.4 times as long as ours)",
    "smooth_l1": "smooth L1",
}
NAMED = {"None": None, "False": False, "True": True}


def results(name: str) -> dict[str, Any]:
    return json.loads((ROOT / f"benchmarks/results/{name}.json").read_text())


def prose(file: Path) -> str:
    """The text without its code."""
    text = re.sub(r"^```.*?^```", "", file.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(file: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", file.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(file: Path) -> list[str]:
    """What a page refers to that is not in the web."""
    found = re.findall(r"\]\(([^)\s]+)\)", prose(file))
    return [link for link in found if not re.match(r"https?:|mailto:", link)]


def sections() -> dict[str, str]:
    """The sections of all pages, by the function that each begins with."""
    found = {}
    for page in PAGES:
        for section in re.split(r"^## ", page.read_text(), flags=re.MULTILINE)[1:]:
            _, text = section.split("\n\n", 1)
            name = re.match(r"`(\w+)\(", text)
            assert name is not None, f"{page.name}: {text[:80]!r} does not begin with a call"
            assert name[1] not in found, f"{name[1]} is described twice"
            found[name[1]] = text
    return found


def value(text: str) -> object:
    """Of a default as the pages write it."""
    if text in NAMED:
        return NAMED[text]
    return text.strip('"') if text.startswith('"') else float(Fraction(text))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_described(name: str) -> None:
    described = sections()
    assert name in described, f"docs/losses/ has no {name}"
    called, formula, *rest = described[name].split("\n\n")
    function = getattr(iouloss, name)
    (module,) = (module for module in iouloss.modules.__all__ if getattr(iouloss, module).function is function)
    assert called.endswith(f"`{module}`") and formula.startswith("$$")
    text = "\n\n".join(rest)
    assert "**Use** it" in text and "elsewhere" in text.lower()
    options = inspect.signature(function).parameters
    for option, default in re.findall(r'(\w+)=("\w+"|[-+\w./]+)', called):
        assert options[option].default == value(default), option


@pytest.mark.parametrize("file", LINKED, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_somewhere(file: Path) -> None:
    for link in links(file):
        path, _, anchor = link.partition("#")
        to = (file.parent / path).resolve() if path else file
        assert to.exists(), link
        if anchor and to.suffix == ".md":
            assert anchor in anchors(to), link


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_formulas_are_such_as_github_renders(file: Path) -> None:
    """Markdown takes a backslash from what is no letter, and a bar for the end of a table's cell."""
    blocks = prose(file).split("$$")
    assert len(blocks) % 2 == 1
    formulas = blocks[1::2]
    for paragraph in "".join(blocks[::2]).split("\n\n"):
        parts = paragraph.split("$")
        assert len(parts) % 2 == 1, paragraph
        formulas += parts[1::2]
    assert formulas
    for formula in formulas:
        assert not re.search(r"\\[^a-zA-Z]|[<*|\n]|\\operatorname", formula), formula
        assert formula == formula.strip() and formula.count("{") == formula.count("}")
        assert formula.count(r"\left") == formula.count(r"\right")
        assert formula.count(r"\begin") == formula.count(r"\end")


def test_every_picture_is_drawn_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="the pictures want matplotlib")
    monkeypatch.syspath_prepend(str(DOCS))
    import plot_losses

    assert plot_losses.main(["regression", "--folder", str(tmp_path)]) == 0
    assert (tmp_path / "regression.png").stat().st_size < LARGEST_PICTURE
    shown = {link for page in PAGES for link in links(page) if link.endswith(".png")}
    there = {file.name: file.stat().st_size for file in DOCS.glob("losses/*.png")}
    assert shown == there.keys() == {f"{name}.png" for name in plot_losses.FIGURES}
    assert max(there.values()) < LARGEST_PICTURE


def calls() -> list[tuple[str, str, str]]:
    """The table "You use X: write Y" of the README: a module, a call of it, and ours."""
    table = (ROOT / "README.md").read_text().split("| you use |")[1].split("\n\n")[0]
    found, module = [], ""
    for line in table.splitlines()[2:]:
        named, theirs, ours = (re.findall(r"`([^`]+)`", cell) for cell in line.strip("|").split("|"))
        module = named[0] if named else module
        found += [(module, *pair) for pair in zip(theirs, ours, strict=True)]
    return found


@pytest.mark.libraries
@pytest.mark.parametrize(("module", "theirs", "ours"), calls())
def test_the_calls_of_others_are_ours(module: str, theirs: str, ours: str) -> None:
    library = pytest.importorskip(module, exc_type=ImportError)
    shape = (3, 4, 9, 11) if module.startswith(("kornia", "monai")) else (8, 16)
    a, b = (boxes.requires_grad_() for boxes in random_boxes(50, 640.0, torch.float32))
    x = (8 * uniform(*shape).float() - 4).requires_grad_()
    z = (uniform(*shape, seed=1) > 0.7).float()
    t = (uniform(shape[0], *shape[2:], seed=2) * shape[1]).long()
    s = uniform(shape[0], seed=3).float()
    y = uniform(shape[0], seed=4).float() * 14
    given = {"torch": torch, "a": a, "b": b, "x": x, "z": z, "t": t, "s": s, "y": y, "q": z.softmax(1)}
    got, wanted = (eval(call, {**vars(lib), **given}) for call, lib in ((ours, iouloss), (theirs, library)))
    torch.testing.assert_close(got, wanted, rtol=2e-5, atol=2e-6)
    for leaf in (a, x):
        gradients = [torch.autograd.grad(loss.sum(), leaf, allow_unused=True)[0] for loss in (got, wanted)]
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=2e-6)


def test_the_tables_of_the_gpu_are_the_committed_results() -> None:
    """Those that `make counts` writes; test_benchmarks.py has those that were measured."""
    page = gpu_counts.PAGE.read_text()
    counts, model = results("gpu_counts")["rows"], results("roofline")["rows"]
    one, other = ([row for row in model if row["way"] == way] for way in (ONE, OTHER))
    for table in (
        gpu_counts.table(row for row in counts if BUDGETS[row["loss"]].ways is ALL_WAYS),
        gpu_counts.short_table(row for row in counts if BUDGETS[row["loss"]].ways is not ALL_WAYS),
        roofline.table(one, roofline.cell),
        roofline.table(other, roofline.cell),
        roofline.table(one, roofline.peer_cell),
    ):
        assert table in page, f"make counts writes it: {table.splitlines()[0]}"


def seconds(name: str, case: str, of: str = "seconds", mode: str = "forward_backward") -> Callable[[str], float]:
    """Of a case, by who computes it: with the host's time, or "on_device" the GPU's alone."""
    (row,) = (row for row in results(name)["cases"] if row["key"] == case)
    return lambda who: row[of][mode][who]["median" if of == "seconds" else "seconds"]


def gibibytes(criterion: dict[str, float]) -> str:
    return f"{criterion['peak_bytes'] / 2**30:.1f} GiB"


def measured() -> dict[str, list[str]]:
    """What the pages say in numbers, made of the results."""
    gpu = seconds("h100", "cuda/ciou/float32/10000000/1t", "on_device")
    cpu = seconds("full", "cpu/ciou/float32/1000000/2t")
    small = seconds("h100", "cuda/ciou/float32/128/1t")
    boxes = f"busy for {gpu('ours') * 1e3:.2f} ms a step, torchvision's for {gpu('torchvision') * 1e3:.0f} ms"
    million = f"{cpu('ours') * 1e3:.1f} ms, torchvision's {cpu('torchvision') * 1e3:.0f} ms"
    step = results("step")["criteria"]
    call = results("profile_call")
    layers = call["layers"]
    one_call = call["calls"]["forward + backward"]["median"] * 1e6
    kernel, engine = (layers[name] * 1e6 for name in layers if name.startswith(("kernel", "Tensor.backward")))
    page = [
        boxes,
        f"CIoU of a million boxes takes {million}",
        f"A step of 128 boxes takes {small('ours') * 1e3:.1f} ms with what the host does, "
        f"and torchvision's {small('torchvision') * 1e3:.1f} ms",
        f"| iouloss | {step['iouloss']['seconds'] * 1e3:.0f} ms | {gibibytes(step['iouloss'])} |",
        f"| torch.compile | {step['compile']['seconds']:.2f} s | {gibibytes(step['compile'])} |",
        f"| torchvision | {step['torchvision']['seconds']:.1f} s | {gibibytes(step['torchvision'])} |",
        f"A call of 128 boxes takes {one_call:.0f} µs, of which the kernel is {kernel:.0f} "
        f"and torch's autograd engine {engine:.0f}",
    ]
    for row in results("large")["cases"]:
        times = row["seconds"]["forward_backward"]
        if "eager" in times and row["loss"] in TITLES:
            factor = times["eager"]["median"] / times["ours"]["median"]
            page.append(f"{TITLES[row['loss']]} | {factor:.{0 if factor >= 10 else 1}f} |")
    score = json.loads((DOCS / "train_detector.json").read_text())["results"]["AP50"]
    return {
        "README.md": [boxes, f"CIoU of a million takes two CPU cores {million}"],
        "docs/speed.md": page,
        "docs/training.md": [f"AP50 {score:.2f}"],
    }


@pytest.mark.parametrize("page", ("README.md", "docs/speed.md", "docs/training.md"))
def test_numbers_are_those_of_the_results(page: str) -> None:
    text = " ".join((ROOT / page).read_text().split())
    missing = [numbers for numbers in measured()[page] if numbers not in text]
    assert not missing


def test_times_of_a_copy_are_those_of_the_results() -> None:
    """The ranges that docs/speed.md has for kinds of losses; every loss is in one of them."""
    found: dict[tuple[str, str], float] = {}
    for row in results("h100_kernels")["rows"]:
        if row["way"] == ONE:
            found[row["loss"], row["dtype"]] = row["seconds"] / row["floor_seconds"]
    float32 = {loss: times for (loss, dtype), times in found.items() if dtype == "float32"}
    halves = [times for (_, dtype), times in found.items() if dtype == "float16"]
    copies = (*BOXES, "focal_dense", "quality_focal", "varifocal", "gaussian_focal", "dice", "dice_squares")
    assert max(abs(float32[loss] - 1) for loss in copies) < 0.05
    assert {f"{float32[loss]:.1f}" for loss in ("focal_index", "focal_index_mean")} == {"1.2"}
    assert f"{float32['quality_focal_scores']:.1f}" == "1.3"
    powers = [float32[loss] for loss in ("focal_gamma", "focal_smooth", "poly1_focal", "asymmetric_attached")]
    rows = [float32[loss] for loss in float32 if loss.startswith(ROWS)]
    assert [f"{least:.1f} to {most:.1f}" for least, most in ((min(x), max(x)) for x in (powers, rows))] == [
        "1.2 to 1.8",
        "1.2 to 1.9",
    ]
    assert f"{float32['softmax_dice']:.1f}" == "2.2"
    assert f"{min(halves):.2f} to {max(halves):.1f}" == "1.05 to 2.6"
