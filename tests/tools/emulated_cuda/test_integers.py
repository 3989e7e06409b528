"""Integers and bits against Python's."""

from collections.abc import Callable

import numpy as np
import pytest

from .single_instructions import DTYPE, evaluate, pairs

random = np.random.default_rng(0)

EDGES = {
    "s": lambda bits: [0, 1, -1, 7, -7, 2 ** (bits - 1) - 1, -(2 ** (bits - 1)), 12345],
    "u": lambda bits: [0, 1, 7, 2**bits - 1, 2 ** (bits - 1), 12345],
}


def wrapped(n: int, kind: str) -> int:
    bits = int(kind[1:])
    n &= 2**bits - 1
    return n - 2**bits if kind[0] == "s" and n >= 2 ** (bits - 1) else n


def truncated(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


INTEGER: dict[str, Callable[[int, int, int], int]] = {
    "add": lambda a, b, bits: a + b,
    "sub": lambda a, b, bits: a - b,
    "mul.lo": lambda a, b, bits: a * b,
    "mul.hi": lambda a, b, bits: a * b >> bits,
    "min": lambda a, b, bits: min(a, b),
    "max": lambda a, b, bits: max(a, b),
    "div": lambda a, b, bits: truncated(a, b) if b else -1,
    "rem": lambda a, b, bits: a - b * truncated(a, b) if b else a,
}


@pytest.mark.parametrize("kind", ["s16", "u16", "s32", "u32", "s64", "u64"])
@pytest.mark.parametrize("op", INTEGER)
def test_integers(op: str, kind: str) -> None:
    bits = int(kind[1:])
    a, b = pairs(EDGES[kind[0]](bits))
    expected = [wrapped(INTEGER[op](x, y, bits), kind) for x, y in zip(a, b, strict=True)]
    dtype = DTYPE[kind]
    assert (
        evaluate(f"{op}.{kind} %d, %a, %b", " ".join([kind] * 3), np.array(a, dtype), np.array(b, dtype))
        == np.array(expected, dtype)
    ).all()


def test_wide_products() -> None:
    a, b = pairs(EDGES["s"](32))
    assert (evaluate("mul.wide.s32 %d, %a, %b", "s64 s32 s32", a, b) == np.array(a) * np.array(b)).all()
    assert (
        evaluate("mad.wide.s32 %d, %a, %b, %c", "s64 s32 s32 s64", a, b, a) == np.array(a) * np.array(b) + np.array(a)
    ).all()
    assert (
        evaluate("mad.lo.s32 %d, %a, %b, %a", "s32 s32 s32", a, b)
        == [wrapped(x * y + x, "s32") for x, y in zip(a, b, strict=True)]
    ).all()


def test_shifts() -> None:
    by = [0, 1, 31, 32, 40]
    assert (evaluate("shl.b32 %d, %a, %b", "u32 u32 u32", [3] * 5, by) == [3, 6, 2**31, 0, 0]).all()
    assert (evaluate("shr.u32 %d, %a, %b", "u32 u32 u32", [2**31] * 5, by) == [2**31, 2**30, 1, 0, 0]).all()
    assert (evaluate("shr.s32 %d, %a, %b", "s32 s32 u32", [-(2**31)] * 5, by) == [-(2**31), -(2**30), -1, -1, -1]).all()
    low, high = [0x89ABCDEF] * 5, [0x01234567] * 5
    assert (
        evaluate("shf.l.wrap.b32 %d, %a, %b, %c", "u32 u32 u32 u32", low, high, [0, 4, 31, 32, 36])
        == [0x01234567, 0x12345678, 0xC4D5E6F7, 0x01234567, 0x12345678]
    ).all()
    assert (
        evaluate("shf.r.clamp.b32 %d, %a, %b, %c", "u32 u32 u32 u32", low, high, [0, 4, 31, 32, 36])
        == [0x89ABCDEF, 0x789ABCDE, 0x02468ACF, 0x01234567, 0x01234567]
    ).all()


def test_bits() -> None:
    x = [0, 1, 0x80000000, 0xFFFFFFFF, 0x00F0F000]
    assert (evaluate("popc.b32 %d, %a", "u32 u32", x) == [0, 1, 1, 32, 8]).all()
    assert (evaluate("clz.b32 %d, %a", "u32 u32", x) == [32, 31, 0, 0, 8]).all()
    assert (evaluate("bfind.u32 %d, %a", "u32 u32", x) == [2**32 - 1, 0, 31, 31, 23]).all()
    assert (evaluate("bfind.s32 %d, %a", "u32 u32", x) == [2**32 - 1, 0, 30, 2**32 - 1, 23]).all()
    assert (evaluate("brev.b32 %d, %a", "u32 u32", x) == [0, 0x80000000, 1, 0xFFFFFFFF, 0x000F0F00]).all()
    assert (evaluate("bfe.u32 %d, %a, 12, 8", "u32 u32", x) == [0, 0, 0, 255, 15]).all()
    assert (evaluate("bfe.s32 %d, %a, 28, 8", "s32 u32", x) == [0, 0, -8, -1, 0]).all()
    assert (evaluate("bfi.b32 %d, %a, 0, 8, 4", "u32 u32", x) == [0, 256, 0, 0xF00, 0]).all()
    assert (
        evaluate("prmt.b32 %d, %a, %b, 0x4fa3", "u32 u32 u32", [0x80112233], [0x44556677]) == [0x77000080 | 0x00000000]
    ).all()
    a, b, c = random.integers(0, 2**32, (3, 32), dtype=np.uint32)
    assert (evaluate("lop3.b32 %d, %a, %b, %c, 0xCA", "u32 u32 u32 u32", a, b, c) == (a & b | ~a & c)).all()
    assert (evaluate("not.b32 %d, %a", "u32 u32", a) == ~a).all()
    assert (
        evaluate("bmsk.clamp.b32 %d, %a, %b", "u32 u32 u32", [4, 0, 40], [8, 32, 3]) == [0xFF0, 0xFFFFFFFF, 0]
    ).all()
