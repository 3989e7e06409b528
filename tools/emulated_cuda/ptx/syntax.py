"""The statements of PTX: declarations of variables and registers, and instructions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..faults import Fault

BYTES = {f"{kind}{bits}": bits // 8 for kind in "sub" for bits in (8, 16, 32, 64)}
BYTES |= {"f16": 2, "bf16": 2, "f16x2": 4, "bf16x2": 4, "f32": 4, "f64": 8, "pred": 1}

_NO_STATEMENT = re.compile(
    r"/\*.*?\*/|//[^\n]*|^[ \t]*\.(?:version|target|address_size|file|loc|section)\b[^\n]*", re.S | re.M
)
_VARIABLE = re.compile(
    r"(?:\.(?:visible|extern|weak|common)\s+)*\.(?P<space>global|const|shared|local|param)\s+(?:\.attribute\([^)]*\)\s*)?"
    r"(?:\.align\s+(?P<align>\d+)\s+)?(?:\.ptr[^,\s]*\s+)?\.(?P<type>\w+)\s+(?:\.ptr\s+)?"
    r"(?:\.(?:global|shared|const|local)\s+)?(?:\.align\s+(?P<pointee_align>\d+)\s+)?"
    r"(?P<name>[\w$.%]+)\s*(?P<dimensions>(?:\[\s*\d*\s*\])*)\s*(?:=\s*(?P<init>.*))?$",
    re.S,
)
_REGISTERS = re.compile(r"\.reg\s+\.(\w+)\s+(.*)", re.S)
_REGISTER_RANGE = re.compile(r"(.+)<(\d+)>$")
_GUARDED = re.compile(r"@(!?)([%\w$]+)\s+(.*)", re.S)


@dataclass
class Variable:
    name: str
    space: str
    size: int  # bytes; 0 for dynamic shared memory
    align: int
    init: bytes = b""


@dataclass
class Instruction:
    text: str
    op: str  # with its modifiers
    args: list[str]
    guard: str | None = None
    guard_negated: bool = False


def only_statements(text: str) -> str:
    """The text without comments, and without the directives that no semicolon ends."""
    return _NO_STATEMENT.sub("", text)


def split_args(text: str) -> list[str]:
    """The arguments between top-level commas."""
    if "{" not in text and "(" not in text:
        return [arg.strip() for arg in text.split(",")] if text else []
    args, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "{[(") - (c in "}])")
        if c == "," and depth == 0:
            args.append(text[start:i].strip())
            start = i + 1
    if last := text[start:].strip():
        args.append(last)
    return args


def parse_variable(text: str) -> Variable:
    m = _VARIABLE.match(text.strip())
    if not m:
        raise Fault(f"cannot parse declaration: {text.strip()[:120]}")
    width = BYTES[m["type"]]
    count = 1
    for n in re.findall(r"\[\s*(\d*)\s*\]", m["dimensions"]):
        count *= int(n or 0)
    return Variable(
        m["name"], m["space"], width * count, int(m["align"] or width), _initial_bytes(m["init"] or "", width)
    )


def _initial_bytes(text: str, width: int) -> bytes:
    values = [v.strip() for v in text.strip().strip("{}").split(",") if v.strip()]
    try:
        numbers = [int(v[2:], 16) if v[:2] in ("0f", "0d", "0F", "0D") else int(v, 0) for v in values]
    except ValueError:
        raise Fault(f"cannot parse initial value: {text[:120]}") from None
    return b"".join((n & ((1 << 8 * width) - 1)).to_bytes(width, "little") for n in numbers)


def parse_registers(text: str) -> Iterator[tuple[str, int]]:
    """The names that a .reg declares, and their bytes."""
    m = _REGISTERS.match(text)
    if not m:
        raise Fault(f"cannot parse declaration: {text[:120]}")
    width = BYTES[m[1]]
    for name in m[2].split(","):
        if many := _REGISTER_RANGE.match(name.strip()):
            yield from ((f"{many[1]}{i}", width) for i in range(int(many[2])))
        else:
            yield name.strip(), width


def parse_instruction(text: str) -> Instruction:
    body, guard, negated = text, None, False
    if m := _GUARDED.match(text):
        negated, guard, body = bool(m[1]), m[2], m[3]
    op, _, args = body.partition(" ")
    return Instruction(text, op, split_args(args), guard, negated)
