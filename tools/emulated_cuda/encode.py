"""A kernel and the functions it calls as the one list of instructions that the executor runs (executor/kernel.h).

Registers become numbers, names become addresses, labels become indices. No function calls itself. So each has its own
registers, and fixed addresses for its local variables and the parameters of its calls.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .faults import Fault
from .ptx import Function, Instruction, Module, Variable
from .ptx.syntax import split_args

SPECIAL_REGISTERS = [
    *(f"%{name}.{axis}" for name in ("tid", "ntid", "ctaid", "nctaid") for axis in "xyz"),
    *("%laneid", "%warpid", "%nwarpid", "%lanemask_eq", "%lanemask_lt", "%lanemask_le", "%lanemask_gt", "%lanemask_ge"),
    *("%dynamic_smem_size", "%total_smem_size"),
]
CONSTANTS = {"%clock": 0, "%clock64": 0, "%clock_hi": 0, "%globaltimer": 0, "%smid": 0, "%nsmid": 34, "%gridid": 0}
CONSTANTS |= {"WARP_SZ": 32}

MAX_OPERANDS = 12
_HEAD, _OPERAND = struct.Struct("<qIIiiii"), struct.Struct("<Qii")
_INSTRUCTION_BYTES = _HEAD.size + MAX_OPERANDS * _OPERAND.size
_REG, _SINK, _INTEGER, _F32, _F64 = range(5)

_ADDRESS = re.compile(r"\[\s*([%\w$.]+)\s*(?:\+\s*(-?\w+))?\s*\]")
_SYMBOL = re.compile(r"([A-Za-z_$%][\w$.%]*)(?:\s*\+\s*(\d+))?")
_INTEGER_LITERAL = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|\d+)U?")


class Area:
    """The addresses of variables, one after the other."""

    def __init__(self) -> None:
        self.size = 0
        self.offsets: dict[str, int] = {}

    def place(self, name: str, variable: Variable) -> None:
        if name not in self.offsets:
            self.offsets[name] = -(-self.size // variable.align) * variable.align
            self.size = self.offsets[name] + variable.size

    def padded(self) -> int:
        return -(-self.size // 16) * 16


@dataclass
class Line:
    """An instruction of the executor, and the function whose names it uses."""

    scope: Function
    instruction: Instruction
    target: str = ""  # the label it goes to


@dataclass
class Encoded:
    """What the executor's library takes."""

    code: bytes
    strings: bytes
    register_bytes: bytes
    specials: list[tuple[int, int]]  # which, and the number of its register
    entry: int
    static_shared: int
    local_bytes: int
    max_threads: int
    params: Area
    ops: list[str] = field(default_factory=list)  # of the instructions, without modifiers
    texts: list[str] = field(default_factory=list)  # of the same


class Encoder:
    def __init__(self, module: Module, kernel: str, addresses: dict[str, int]):
        self.module, self.kernel, self.addresses = module, module.function(kernel), addresses
        self.functions = list(dict.fromkeys(self._callees_first(self.kernel, ())))
        self.params, self.shared, self.local = Area(), Area(), Area()
        self.registers: dict[str, int] = {}
        self.register_bytes = bytearray()
        self.strings: dict[str, int] = {}
        self.string_bytes = bytearray()

    def encode(self) -> Encoded:
        self._place_variables()
        lines: list[Line] = []
        labels: dict[str, int] = {}
        for function in self.functions:
            labels[function.name] = len(lines)
            places: list[int] = []
            for instruction in function.body.code:
                places.append(len(lines))
                lines.extend(self._expanded(function, instruction))
            labels.update({f"{function.name}:{name}": places[index] for name, index in function.body.labels.items()})
        code = b"".join(self._encoded(line, labels) for line in lines)
        specials = [(i, self.registers[name]) for i, name in enumerate(SPECIAL_REGISTERS) if name in self.registers]
        return Encoded(
            code,
            bytes(self.string_bytes),
            bytes(self.register_bytes),
            specials,
            labels[self.kernel.name],
            self.shared.padded(),
            self.local.padded(),
            self.kernel.max_threads,
            self.params,
            [line.instruction.op.partition(".")[0] for line in lines],
            [line.instruction.text for line in lines],
        )

    # -- functions

    def _callees_first(self, function: Function, callers: tuple[str, ...]) -> Iterator[Function]:
        """Lanes in a function go before those that returned from it, so that they go on together."""
        if function.name in callers:
            raise Fault(f"PTX not implemented: {function.name} calls itself")
        for instruction in function.body.code:
            if instruction.op.startswith("call"):
                name = _call(instruction)[1]
                if name in self.module.functions:
                    yield from self._callees_first(self.module.functions[name], (*callers, function.name))
        yield function

    def _place_variables(self) -> None:
        for param in self.kernel.params:
            self.params.place(param.name, param)
        for function in self.functions:
            variables = [*function.body.variables.values()]
            variables += [] if function is self.kernel else [*function.params, *function.results]
            for variable in variables:
                area = self.shared if variable.space == "shared" else self.local
                area.place(f"{function.name}:{variable.name}", variable)
            used = {m[1] for i in function.body.code for arg in i.args for m in _SYMBOL.finditer(arg)}
            for name in sorted(used & self.module.variables.keys()):
                variable = self.module.variables[name]
                if variable.space == "shared" and variable.size:
                    self.shared.place(name, variable)

    def _expanded(self, function: Function, instruction: Instruction) -> Iterator[Line]:
        """The executor's instructions for one of PTX."""
        op = instruction.op.partition(".")[0]
        if op == "bra":
            label = f"{function.name}:{instruction.args[0]}"
            yield Line(function, replace(instruction, args=[]), label)
        elif op == "brx":
            yield from self._switch(function, instruction)
        elif op == "call":
            yield from self._called(function, instruction)
        elif op == "ret" and function is not self.kernel:
            yield Line(function, replace(instruction, op="leave", args=["%return"]))
        else:
            yield Line(function, instruction)

    def _switch(self, function: Function, instruction: Instruction) -> Iterator[Line]:
        """brx.idx: a comparison with each number of the table."""
        if instruction.guard:
            raise Fault(f"PTX not implemented: {instruction.text}")
        index, table = instruction.args
        for number, label in enumerate(function.body.branch_targets[table]):
            test = replace(instruction, op="setp.eq.u32", args=["%chosen", index, str(number)], guard=None)
            jump = replace(instruction, op="bra", args=[], guard="%chosen", guard_negated=False)
            yield Line(function, test)
            yield Line(function, jump, f"{function.name}:{label}")

    def _called(self, function: Function, instruction: Instruction) -> Iterator[Line]:
        results, name, args = _call(instruction)
        if name == "__assertfail":
            offset = self.local.offsets[f"{function.name}:{args[0]}"]
            yield Line(function, replace(instruction, op="assertfail", args=[f"[0+{offset}]"]))
            return
        if name == "vprintf":
            return
        callee = self.module.functions.get(name)
        if callee is None:
            raise Fault(f"PTX not implemented: {instruction.text}")

        def copy(to: str, source: str, size: int) -> Line:
            places = [str(self.local.offsets[place]) for place in (to, source)]
            return Line(function, replace(instruction, op="copy_parameter", args=[*places, str(size)]))

        for param, arg in zip(callee.params, args, strict=True):
            yield copy(f"{name}:{param.name}", f"{function.name}:{arg}", param.size)
        yield Line(function, replace(instruction, op="call", args=[f"{name}:%return"]), name)
        for param, result in zip(callee.results, results, strict=True):
            yield copy(f"{function.name}:{result}", f"{name}:{param.name}", param.size)

    # -- instructions

    def _encoded(self, line: Line, labels: dict[str, int]) -> bytes:
        instruction, scope = line.instruction, line.scope
        op, offset, operands = instruction.op, 0, []
        for arg in instruction.args:
            for part in _parts(arg):
                if m := _ADDRESS.fullmatch(part):
                    part, offset = m[1], int(m[2] or "0", 0)
                    if f"{scope.name}:{part}" in self.local.offsets:
                        op = op.replace(".param", ".call")  # a parameter of a call, not of the kernel
                operands.append(_OPERAND.pack(*self._operand(scope, part, instruction)))
        if len(operands) > MAX_OPERANDS:
            raise Fault(f"PTX not implemented: {instruction.text}")
        guard = self._register(scope, instruction.guard) if instruction.guard else -1
        target = labels[line.target] if line.target else 0
        op_at, text_at = self._string(op), self._string(instruction.text)
        head = _HEAD.pack(offset, op_at, text_at, guard, instruction.guard_negated, target, len(operands))
        return (head + b"".join(operands)).ljust(_INSTRUCTION_BYTES, b"\0")

    def _string(self, text: str) -> int:
        if text not in self.strings:
            self.strings[text] = len(self.string_bytes)
            self.string_bytes += text.encode() + b"\0"
        return self.strings[text]

    def _register(self, scope: Function, name: str) -> int:
        key = name if ":" in name or name in SPECIAL_REGISTERS else f"{scope.name}:{name}"
        if key not in self.registers:
            self.registers[key] = len(self.registers)
            self.register_bytes.append(_OWN_REGISTERS.get(name.rpartition(":")[2]) or scope.body.registers.get(name, 4))
        return self.registers[key]

    def _operand(self, scope: Function, text: str, instruction: Instruction) -> tuple[int, int, int]:
        negated = text.startswith("!")
        name = text.lstrip("!")
        if name == "_":
            return 0, _SINK, 0
        known = name in scope.body.registers or name in SPECIAL_REGISTERS
        if known or name.rpartition(":")[2] in _OWN_REGISTERS:
            return self._register(scope, name), _REG, negated
        if name[:2] in ("0f", "0F"):
            return int(name[2:], 16), _F32, negated
        if name[:2] in ("0d", "0D"):
            return int(name[2:], 16), _F64, negated
        if _INTEGER_LITERAL.fullmatch(name):
            return int(name.rstrip("U"), 0) & (2**64 - 1), _INTEGER, negated
        if m := _SYMBOL.fullmatch(name):
            value = self._value(scope, m[1])
            if value is not None:
                return value + int(m[2] or 0), _INTEGER, negated
        raise Fault(f"PTX not implemented: operand {text} of {instruction.text}")

    def _value(self, scope: Function, name: str) -> int | None:
        """The address that a name stands for, in its space."""
        if name in CONSTANTS:
            return CONSTANTS[name]
        for key in (f"{scope.name}:{name}", name):
            for area in (self.local, self.shared):
                if key in area.offsets:
                    return area.offsets[key]
        if scope is self.kernel and name in self.params.offsets:
            return self.params.offsets[name]
        variable = self.module.variables.get(name)
        if variable and variable.space == "shared":  # dynamic shared memory follows the static
            return self.shared.padded()
        return self.addresses.get(name)


_OWN_REGISTERS = {"%return": 4, "%chosen": 1}  # where a function returns to; whether a switch takes a case


def _parts(arg: str) -> list[str]:
    """{a, b} and p|q are several operands."""
    if arg.startswith("{"):
        return [part for inner in split_args(arg[1:-1]) for part in _parts(inner)]
    return arg.split("|") if "|" in arg else [arg]


def _call(instruction: Instruction) -> tuple[list[str], str, list[str]]:
    """The results, the function and the arguments of call (results), function, (arguments)."""
    args = instruction.args
    results = split_args(args[0][1:-1]) if args[0].startswith("(") else []
    name, *rest = args[1:] if args[0].startswith("(") else args
    return results, name, split_args(rest[0][1:-1]) if rest else []
