"""``python -m tools.generate``: writes what follows from the functions and from the tables of the kernels.

Run it when a loss is added, or when a signature or the first line of a docstring changes:

- ``iouloss/modules/__init__.pyi``, what type checkers and editors know of the modules;
- ``iouloss/_tables.py``, the tables of ``csrc/core/*_table.h`` for where there is no extension (rebuild it first);
- the table of losses in ``README.md``, and the index of the pages in ``docs/losses.md``.
"""

import inspect
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import iouloss
from iouloss import _backend, modules
from iouloss.modules.base import split_signature

ROOT = Path(__file__).parents[1]
WIDTH = 120

# --------------------------------------------------------------------------------------------- the stub of the modules

HEADER = '''"""Written by tools/generate.py."""

{typing}from torch import Tensor

from .base import Loss

__all__ = [
{names}]
'''


def annotation(kind: Any) -> str:
    text = inspect.formatannotation(kind).replace("torch.Tensor", "Tensor").replace("typing.", "")
    return text.replace("'", '"')


def default(value: Any) -> str:
    """The text of an option's default: a string, a number, a bool or None."""
    return json.dumps(value) if isinstance(value, str) else repr(value)


def declared(parameters: list[inspect.Parameter]) -> Iterable[str]:
    """The parameters of a method, as it declares them."""
    yield "self"
    for parameter, before in zip(parameters, [None, *parameters], strict=False):
        if parameter.kind is parameter.KEYWORD_ONLY and (before is None or before.kind is not before.KEYWORD_ONLY):
            yield "*"
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        value = "" if parameter.default is parameter.empty else f" = {default(parameter.default)}"
        yield f"{stars}{parameter.name}: {annotation(parameter.annotation)}{value}"


def method(name: str, parameters: list[inspect.Parameter], result: str) -> str:
    """The text of a method of a class, laid out as the formatter does it."""
    start, end, listed = f"    def {name}(", f") -> {result}: ...\n", list(declared(parameters))
    for line in (f"{start}{', '.join(listed)}{end}", f"{start}\n        {', '.join(listed)}\n    {end}"):
        if max(map(len, line.splitlines())) <= WIDTH:
            return line
    return start + "\n" + "".join(f"        {each},\n" for each in listed) + "    " + end


def module(name: str) -> str:
    """The text of the class of that name."""
    function = getattr(modules, name).function
    tensors, options = split_signature(function)
    held = [f"    {p.name}: {annotation(p.annotation)}\n" for p in options if p.kind is not p.VAR_KEYWORD]
    return (
        f"\nclass {name}(Loss):\n"
        f'    """The module of :func:`iouloss.functional.{function.__name__}`."""\n\n'
        f"{''.join(held)}"
        f"{method('__init__', options, 'None')}"
        f"{method('forward', tensors, 'Tensor')}"
        f"    __call__ = forward\n"
    )


def stub() -> str:
    classes = "".join(map(module, modules.__all__))
    typing = sorted(set(re.findall(r"\b(?:Any|Literal)\b", classes)))
    header = HEADER.format(
        typing=f"from typing import {', '.join(typing)}\n\n" if typing else "",
        names="".join(f'    "{name}",\n' for name in modules.__all__),
    )
    return header + classes


# ------------------------------------------------------------------------------------------------ the tables of options


def tables() -> str:
    """Of each shape, its losses; of each loss, the options that it takes and what they may be."""
    text = '"""The losses of each operator, and the options that each takes: what these may be.\n\n'
    text += 'Written by tools/generate.py from ``csrc/core/*_table.h``.\n"""\n'
    for shape, losses in _backend.extension.losses().items():
        rows = "".join(f"    {json.dumps(name)}: {listed(options)},\n" for name, options in losses.items())
        text += f"\n{shape.upper()}: dict[str, dict[str, str]] = {{\n{rows}}}\n"
    return text


def listed(options: dict[str, str]) -> str:
    """As the formatter has them: in a line, or in one each."""
    if len(options) <= 3:
        return json.dumps(options)
    return json.dumps(options, indent=8).replace('"\n}', '",\n    }')


# ------------------------------------------------------------------------------------------------------ the index pages


PAGES = ("boxes", "logits", "rows", "regions", "regression")


def text_of(page: str) -> str:
    return (ROOT / f"docs/losses/{page}.md").read_text()


def summary(function: Any) -> tuple[str, str]:
    """Of a docstring: its first line, and the papers at its end as links."""
    text = inspect.getdoc(function) or ""
    first = text.partition("\n")[0].replace("``", "`").replace("|", r"\|").rstrip(".")
    papers = re.findall(r"arXiv:(\d+\.\d+)", text.partition("Paper: ")[2])
    return re.sub(r":func:`(\w+)`", r"`\1`", first), ", ".join(f"[{n}](https://arxiv.org/abs/{n})" for n in papers)


def losses() -> str:
    """A row for each function, in the order of their pages."""
    rows = "| function | loss | paper |\n|---|---|---|\n"
    described = [name for page in PAGES for name in re.findall(r"^## .+\n\n`(\w+)\(", text_of(page), re.MULTILINE)]
    for name in sorted(iouloss.functional.__all__, key=[*described, *iouloss.functional.__all__].index):
        loss, papers = summary(getattr(iouloss, name))
        rows += f"| `{name}` | {loss} | {papers} |\n"
    return rows


def index() -> str:
    """A row for each page of the losses: its sections."""
    rows = "| page | losses |\n|---|---|\n"
    for name in PAGES:
        titles = re.findall(r"^## (.+)$", text_of(name), re.MULTILINE)
        links = (f"[{title}](losses/{name}.md#{title.lower().replace(' ', '-')})" for title in titles)
        rows += f"| [{name.title()}](losses/{name}.md) | {', '.join(links)} |\n"
    return rows


def with_table(page: str, table: str) -> str:
    """The page with the table in place of the one that has the same heading."""
    heading = table.partition("\n")[0]
    before, found, after = (ROOT / page).read_text().partition(heading + "\n")
    if not found:
        raise ValueError(f"{page} has no table {heading}")
    return before + table + "\n" + after.partition("\n\n")[2]


def files() -> dict[str, str]:
    """What each file is to be."""
    made = {
        "iouloss/modules/__init__.pyi": stub(),
        "README.md": with_table("README.md", losses()),
        "docs/losses.md": with_table("docs/losses.md", index()),
    }
    return made if _backend.extension is None else {**made, "iouloss/_tables.py": tables()}


if __name__ == "__main__":
    for name, text in files().items():
        (ROOT / name).write_text(text)
