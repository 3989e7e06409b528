"""A PTX module: its functions, each taken apart when it is asked for, and its variables."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from ..faults import Fault
from . import syntax
from .syntax import Instruction, Variable

_HEAD = re.compile(
    r"\.(?P<kind>entry|func)\s+(?:\.noreturn\s+)?(?:\((?P<results>[^)]*)\)\s*)?(?P<name>[\w$]+)\s*"
    r"(?:\((?P<params>[^)]*)\))?(?P<directives>.*)$",
    re.S,
)
_MAX_THREADS = re.compile(r"\.maxntid\s+(\d+)(?:,\s*(\d+))?(?:,\s*(\d+))?")
_LABEL = re.compile(r"\s*([\w$]+):(?!:)\s*")
_BRANCH_TARGETS = re.compile(r"\.branchtargets\s+(.*)", re.S)


@dataclass
class Body:
    registers: dict[str, int] = field(default_factory=dict)  # bytes by name
    variables: dict[str, Variable] = field(default_factory=dict)
    code: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)  # indices into code
    branch_targets: dict[str, list[str]] = field(default_factory=dict)  # by the label of the table


class Function:
    def __init__(self, head: re.Match[str], body: str):
        self.name: str = head["name"]
        self.is_entry: bool = head["kind"] == "entry"
        self.params = [syntax.parse_variable(p) for p in syntax.split_args(head["params"] or "")]
        self.results = [syntax.parse_variable(r) for r in syntax.split_args(head["results"] or "")]
        bound = _MAX_THREADS.search(head["directives"])
        self.max_threads = math.prod(int(n) for n in bound.groups() if n) if bound else 1024
        self._text = body

    @cached_property
    def body(self) -> Body:
        body, label = Body(), ""
        for statement in self._text.split(";"):
            # Braces around statements are scopes, of calls and of inline assembly: their names count as the function's.
            statement = statement.lstrip("{} \t\n")
            while m := _LABEL.match(statement):
                label = m[1]
                body.labels[label] = len(body.code)
                statement = statement[m.end() :].lstrip("{} \t\n")
            if statement := " ".join(statement.split()):
                self._add(body, statement, label)
        body.code.append(Instruction("ret", "ret", []))
        return body

    @staticmethod
    def _add(body: Body, statement: str, label: str) -> None:
        if not statement.startswith("."):
            body.code.append(syntax.parse_instruction(statement))
        elif statement.startswith(".reg"):
            body.registers.update(syntax.parse_registers(statement))
        elif re.match(r"\.(shared|local|param)\b", statement):
            variable = syntax.parse_variable(statement)
            # The parameters of calls have the same names in each call.
            other = body.variables.get(variable.name, variable)
            body.variables[variable.name] = max(variable, other, key=lambda v: (v.size, v.align))
        elif m := _BRANCH_TARGETS.match(statement):
            body.branch_targets[label] = syntax.split_args(m[1])


class Module:
    def __init__(self, text: str):
        self.functions: dict[str, Function] = {}
        self.variables: dict[str, Variable] = {}
        for head, body in _top_level(syntax.only_statements(text)):
            if m := _HEAD.search(head):
                if body is not None:
                    self.functions[m["name"]] = Function(m, body)
            elif re.search(r"\.(global|const|shared)\s", head):
                variable = syntax.parse_variable(head)
                self.variables[variable.name] = variable

    def function(self, name: str) -> Function:
        if name not in self.functions:
            raise Fault(f"no function {name}; the module has {sorted(self.functions)}")
        return self.functions[name]


def _top_level(text: str) -> Iterator[tuple[str, str | None]]:
    """The module's statements: the text before ';' or '{', and what stands in the braces of a function."""
    start = depth = body = 0
    for m in re.finditer(r"[{};]", text):
        c = m[0]
        if c == "{":
            body = m.end() if depth == 0 else body
            depth += 1
        elif c == "}":
            depth -= 1
            # The braces of an initial value belong to its statement.
            if depth == 0 and not text[start : body - 1].rstrip().endswith("="):
                yield text[start : body - 1].strip(), text[body : m.start()]
                start = m.end()
        elif depth == 0:
            yield text[start : m.start()].strip(), None
            start = m.end()
