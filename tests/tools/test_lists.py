"""The lists of files, keys and options in the pages are what there is."""

import re
from pathlib import Path

import pytest

from tests.interface.test_every_place import PLACES
from tools.emulated_cuda.__main__ import OUTPUTS
from tools.emulated_cuda.statistics import Stats

ROOT = Path(__file__).parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
ADDING = (ROOT / "docs/adding_a_loss.md").read_text()
EMULATED = (ROOT / "docs/emulated_cuda.md").read_text()


def first_column(page: str, heading: str) -> list[str]:
    """The words set as code in the first column of the table under a heading."""
    table = page.split(f"\n## {heading}\n")[1].split("\n|---|")[1].split("\n\n")[0]
    return [word for row in table.splitlines()[1:] for word in re.findall(r"`([^`]+)`", row.split("|")[1])]


def paths(page: str) -> set[str]:
    """The files, folders and patterns of files that a page names, in links or as code."""
    named = {link for link in re.findall(r"\]\(([\w./*]+)\)", page) if not link.startswith("http")}
    return named | {code for code in re.findall(r"`([\w./*]+)`", page) if "/" in code.strip("/")}


def test_keys_of_the_report_of_the_emulated_device() -> None:
    row = Stats("kernel", (1, 1, 1), (1, 1, 1), 1, 0).row()
    assert sorted(first_column(EMULATED, "The report")) == sorted(row)


def test_parts_of_the_emulated_device() -> None:
    folder = ROOT / "tools/emulated_cuda"
    parts = {f"{each.name}/" if each.is_dir() else each.name for each in folder.iterdir()}
    assert set(first_column(EMULATED, "How it works")) == parts - {"__init__.py", "__main__.py", "__pycache__/"}


def test_options_of_the_emulated_device() -> None:
    assert set(re.findall(r"\[(--\w+) ", EMULATED)) == set(OUTPUTS)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/adding_a_loss.md"])
def test_what_the_ways_of_a_change_name_is_there(name: str) -> None:
    page = ROOT / name
    missing = [path for path in paths(page.read_text()) if not is_there(path, page.parent)]
    assert not missing


def is_there(path: str, beside: Path) -> bool:
    return any(next(folder.glob(path.strip("/")), None) is not None for folder in (ROOT, beside))


def test_the_ways_of_a_loss_name_every_place() -> None:
    named = {file for path in paths(CONTRIBUTING) | paths(ADDING) for file in ROOT.glob(path.strip("/"))}
    for place in PLACES:
        patterns = re.findall(r"[\w./*]*/[\w./*]+|\w+\.md", place.name)
        files = [file for pattern in patterns for file in ROOT.glob(pattern)]
        assert files
        for file in files:
            assert any(file == each or file in each.parents for each in named), f"{file.relative_to(ROOT)} is not named"


@pytest.mark.parametrize("operator", ["box_loss", "logit_loss", "row_loss", "region_loss"])
def test_the_way_of_a_shape_names_the_lists_of_operators(operator: str) -> None:
    """The files of the package and of the binding in which each operator is written by name."""
    sources = [*ROOT.glob("iouloss/_*.py*"), *ROOT.glob("csrc/torch/*.h"), ROOT / "csrc/torch/bindings.cpp"]
    lists = {f"{file.relative_to(ROOT)}" for file in sources if re.search(rf"\b{operator}\b", file.read_text())}
    assert lists <= shape_paths()


def shape_paths() -> set[str]:
    way = CONTRIBUTING.split("**A shape.**")[1].split("\n\n**")[0]
    return {path.strip("/") for path in paths(way.replace("\\_", "_"))}
