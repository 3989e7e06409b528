"""Predicates, and the ways that a thread takes by them."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from tools.emulated_cuda.executor import Program
from tools.emulated_cuda.faults import Fault
from tools.emulated_cuda.ptx import Module

from .single_instructions import evaluate, pairs
from .support import run, zeros

NAN, INF = math.nan, math.inf

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a < b or a > b,
    "lt": lambda a, b: a < b,
    "ge": lambda a, b: a >= b,
    "equ": lambda a, b: not (a < b or a > b),
    "neu": lambda a, b: a != b,
    "leu": lambda a, b: not a > b,
    "gtu": lambda a, b: not a <= b,
    "num": lambda a, b: a == a and b == b,
    "nan": lambda a, b: a != a or b != b,
}


@pytest.mark.parametrize("kind", ["f32", "f64", "f16"])
@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons(name: str, kind: str) -> None:
    a, b = pairs([1.0, -1.0, 0.0, -0.0, NAN, INF])
    out = evaluate(f"setp.{name}.{kind} %q0, %a, %b; selp.u32 %d, 1, 0, %q0", f"u32 {kind} {kind}", a, b)
    assert (out == [COMPARISONS[name](x, y) for x, y in zip(a, b, strict=True)]).all()


def test_combined_comparisons() -> None:
    a, b = pairs([1, 2, 3])
    less, odd = np.array(a) < np.array(b), np.array(a) % 2 == 1
    first = "and.b32 %t0, %a, 1; setp.eq.u32 %q2, %t0, 1; "
    both = "selp.u32 %t1, 1, 0, %q0; selp.u32 %t2, 2, 0, %q1; or.b32 %d, %t1, %t2"
    for combine, f in {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}.items():
        out = evaluate(f"{first} setp.lt.{combine}.s32 %q0|%q1, %a, %b, %q2; {both}", "u32 s32 s32", a, b)
        assert (out == f(less, odd) + 2 * f(~less, odd)).all()
    negated = "setp.lt.and.s32 %q0, %a, %b, !%q2; selp.u32 %d, 1, 0, %q0"
    assert (evaluate(first + negated, "u32 s32 s32", a, b) == (less & ~odd)).all()
    assert (evaluate("set.lt.u32.s32 %d, %a, %b", "u32 s32 s32", a, b) == np.where(less, 2**32 - 1, 0)).all()
    assert (evaluate("slct.s32.s32 %d, %a, %b, -1", "s32 s32 s32", a, b) == b).all()


def test_guards() -> None:
    out = evaluate(
        "mov.u32 %d, 7; setp.gt.s32 %q0, %a, 1; @%q0 mov.u32 %d, 8; @!%q0 add.u32 %d, %d, 2", "u32 s32", [1, 2]
    )
    assert (out == [9, 8]).all()


def test_switch() -> None:
    switch = """
      brx.idx %a, table;
      table: .branchtargets zero, one, two;
      zero: mov.u32 %d, 10; bra done;
      one: mov.u32 %d, 11; bra done;
      two: mov.u32 %d, 12;
      done: add.u32 %d, %d, 1"""
    assert (evaluate(switch, "u32 u32", [2, 0, 1, 2]) == [13, 11, 12, 13]).all()


def test_calls() -> None:
    functions = """
    .func (.param .b32 r) twice(.param .b32 x) {
      .reg .b32 %v; ld.param.b32 %v, [x]; add.u32 %v, %v, %v; st.param.b32 [r], %v; ret;
    }
    .func (.param .b32 r) thrice(.param .b32 x) {
      .reg .b32 %v<2>; .reg .pred %p; ld.param.b32 %v0, [x];
      setp.gt.u32 %p, %v0, 5; @%p ret;
      { .param .b32 y; .param .b32 z; st.param.b32 [y], %v0; call (z), twice, (y); ld.param.b32 %v1, [z]; }
      add.u32 %v1, %v1, %v0; st.param.b32 [r], %v1; ret;
    }
    .entry k(.param .u64 d) {
      .reg .b64 %p; .reg .b32 %i, %v;
      mov.u32 %i, %tid.x;
      {
        .param .b32 y; .param .b32 z;
        st.param.b32 [y], %i; st.param.b32 [z], 100;
        call.uni (z), thrice, (y);
        ld.param.b32 %v, [z];
      }
      ld.param.u64 %p, [d]; mad.wide.u32 %p, %i, 4, %p; st.global.u32 [%p], %v;
    }"""
    out = zeros(8, np.uint32)
    run(Program(Module(functions)), "k", 1, 8, out)
    assert (out.array[:6] == 3 * np.arange(6)).all()


@pytest.mark.parametrize(
    "statement",
    ["add.cc.u32 %d, %a, %a", "vadd.u32 %d, %a, %a", "mov.u32 %d, nowhere", "add.u64 %d, %a, %a", "bar.sync 0, 64"],
)
def test_what_is_not_implemented_is_an_error(statement: str) -> None:
    with pytest.raises(Fault, match="PTX not implemented"):
        evaluate(statement, "u32 u32", [1])
