"""The pages of the losses: complete, their links and pictures there, their formulas such as GitHub renders."""

import inspect
import re
from fractions import Fraction
from pathlib import Path

import pytest

import iouloss

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("losses/*.md"))
LINKED = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *PAGES]
LARGEST_PICTURE = 60_000  # bytes
LOSSES = [name for name in iouloss.functional.__all__ if name != "box_loss"]  # which is any of the box losses
NAMED = {"None": None, "False": False, "True": True}


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
    called, formula, *rest = sections()[name].split("\n\n")
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
