"""Writes iouloss/modules/__init__.pyi: what type checkers and editors know of the modules, from the functions.

Run it when a function's signature changes, or a module is added: ``python -m tools.module_stub``.
"""

import inspect
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from iouloss import modules
from iouloss.modules.base import split_signature

STUB = Path(modules.__file__).with_suffix(".pyi")
WIDTH = 120
HEADER = '''"""Written by tools/module_stub.py."""

{typing}from torch import Tensor

from .base import Loss

__all__ = [
{names}]
'''


def annotation(kind: Any) -> str:
    text = inspect.formatannotation(kind).replace("torch.Tensor", "Tensor").replace("typing.", "")
    return text.replace("'", '"')


def default(value: Any) -> str:
    """Of an option: a string, a number, a bool or None."""
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
    """Of a class, laid out as the formatter does it."""
    start, end, listed = f"    def {name}(", f") -> {result}: ...\n", list(declared(parameters))
    for line in (f"{start}{', '.join(listed)}{end}", f"{start}\n        {', '.join(listed)}\n    {end}"):
        if max(map(len, line.splitlines())) <= WIDTH:
            return line
    return start + "\n" + "".join(f"        {each},\n" for each in listed) + "    " + end


def module(name: str) -> str:
    """The class of that name."""
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
    """The whole file."""
    classes = "".join(map(module, modules.__all__))
    typing = sorted(set(re.findall(r"\b(?:Any|Literal)\b", classes)))
    header = HEADER.format(
        typing=f"from typing import {', '.join(typing)}\n\n" if typing else "",
        names="".join(f'    "{name}",\n' for name in modules.__all__),
    )
    return header + classes


if __name__ == "__main__":
    STUB.write_text(stub())
