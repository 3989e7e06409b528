"""Floats, and conversions to and from them, against exact arithmetic in Python."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from .single_instructions import evaluate, pairs

random = np.random.default_rng(0)
NAN, INF = math.nan, math.inf


def rounded(exact: Fraction, dtype: Any, mode: str) -> Any:
    """The neighbour of the exact value that the mode asks for."""
    near = dtype(float(exact))
    around = [np.nextafter(near, dtype(-INF)), near, np.nextafter(near, dtype(INF))]
    if mode == "rn":
        even = {float(x): int(x.view(f"u{x.itemsize}")) & 1 for x in around}
        return min(around, key=lambda x: (abs(Fraction(float(x)) - exact), even[float(x)]))
    below = max(x for x in around if Fraction(float(x)) <= exact)
    above = min(x for x in around if Fraction(float(x)) >= exact)
    return {"rm": below, "rp": above, "rz": below if exact > 0 else above}[mode]


EXACT: dict[str, Callable[..., Fraction]] = {
    "add": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "fma": lambda a, b, c: a * b + c,
}


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
@pytest.mark.parametrize("kind, dtype", [("f32", np.float32), ("f64", np.float64)])
@pytest.mark.parametrize("op", EXACT)
def test_rounding(op: str, kind: str, dtype: Any, mode: str) -> None:
    count = EXACT[op].__code__.co_argcount
    inputs = [(random.standard_normal(64) * 2.0 ** random.integers(-20, 20, 64)).astype(dtype) for _ in range(count)]
    if op == "fma":  # the product and the addend cancel to what only a fused operation keeps
        inputs[2][:32] = -(inputs[0] * inputs[1])[:32]
    names = ", ".join("%" + name for name in "abc"[:count])
    out = evaluate(f"{op}.{mode}.{kind} %d, {names}", " ".join([kind] * (count + 1)), *inputs)
    expected = [rounded(EXACT[op](*map(Fraction, map(float, row))), dtype, mode) for row in zip(*inputs, strict=True)]
    assert (out == expected).all()


def test_flush_and_saturation() -> None:
    tiny = [1e-40, -1e-40, 1.0, -2.0, NAN, INF]
    assert np.array_equal(
        evaluate("add.ftz.f32 %d, %a, 0f00000000", "f32 f32", tiny), [0, 0, 1, -2, NAN, INF], equal_nan=True
    )
    assert (evaluate("add.sat.f32 %d, %a, 0f00000000", "f32 f32", tiny) == np.float32([1e-40, 0, 1, 0, 0, 1])).all()
    assert (
        evaluate("ex2.approx.ftz.f32 %d, %a", "f32 f32", [3, -130, -INF, 0.5]) == np.float32([8, 0, 0, 2**0.5])
    ).all()


@pytest.mark.parametrize("op, of_zeros", [("min", -0.0), ("max", 0.0)])
def test_extremes(op: str, of_zeros: float) -> None:
    a, b = pairs([1.0, -2.0, NAN, INF, 0.0])
    expected = (np.fmin if op == "min" else np.fmax)(np.float32(a), np.float32(b))
    assert np.array_equal(evaluate(f"{op}.f32 %d, %a, %b", "f32 f32 f32", a, b), expected, equal_nan=True)
    expected = (np.minimum if op == "min" else np.maximum)(np.float32(a), np.float32(b))
    assert np.array_equal(evaluate(f"{op}.NaN.f32 %d, %a, %b", "f32 f32 f32", a, b), expected, equal_nan=True)
    zeros = evaluate(f"{op}.f64 %d, %a, %b", "f64 f64 f64", [0.0, -0.0], [-0.0, 0.0])
    assert (np.signbit(zeros) == np.signbit(of_zeros)).all()


def test_functions() -> None:
    x = np.abs(random.standard_normal(64)).astype(np.float32)
    wide = x.astype(np.float64)
    expected = {
        "sqrt.rn": np.sqrt(wide),
        "rcp.rn": 1 / wide,
        "rsqrt.approx": 1 / np.sqrt(wide),
        "lg2.approx": np.log2(wide),
    }
    expected |= {"sin.approx": np.sin(wide), "cos.approx": np.cos(wide), "tanh.approx": np.tanh(wide), "neg": -wide}
    for op, values in expected.items():
        assert np.allclose(evaluate(f"{op}.f32 %d, %a", "f32 f32", x), values.astype(np.float32), rtol=2e-7, atol=0), op
    assert (evaluate("copysign.f32 %d, %a, %b", "f32 f32 f32", [-1, 1, -1], [2, 2, -3]) == [-2, 2, -3]).all()


@pytest.mark.parametrize("op, exact, lowest, highest", [("ex2", np.exp2, -2.6, 1.4), ("rcp", np.reciprocal, -1.7, 1.7)])
def test_rough_functions(op: str, exact: Callable[..., Any], lowest: float, highest: float) -> None:
    """They err as a GPU's do, never in what can be exact, and for the same number alike."""
    x = random.uniform(0.1, 20, 1024).astype(np.float32)
    got = evaluate(f"{op}.approx.ftz.f32 %d, %a", "f32 f32", x)
    errors = (got / exact(x.astype(np.float64)) - 1) * 2**24
    assert lowest <= errors.min() < lowest + 0.6 and highest - 0.6 < errors.max() <= highest
    assert (evaluate(f"{op}.approx.ftz.f32 %d, %a", "f32 f32", x[::-1].copy()) == got[::-1]).all()
    whole = np.float32([1, 2, 4, 8, 16])
    assert (evaluate(f"{op}.approx.ftz.f32 %d, %a", "f32 f32", whole) == exact(whole)).all()


def test_half_arithmetic() -> None:
    a, b = random.standard_normal((2, 128)).astype(np.float16)
    assert (evaluate("add.f16 %d, %a, %b", "f16 f16 f16", a, b) == a + b).all()
    fused = (a.astype(np.float64) * b.astype(np.float64) + a.astype(np.float64)).astype(np.float16)
    assert (evaluate("fma.rn.f16 %d, %a, %b, %a", "f16 f16 f16", a, b) == fused).all()
    out = evaluate("mul.f16x2 %d, %a, %b", "f16x2 f16x2 f16x2", a.view(np.uint32), b.view(np.uint32))
    assert (out.view(np.float16) == a * b).all()


# --- Conversions ---


def bfloat16(x: np.ndarray) -> np.ndarray:
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def test_small_floats() -> None:
    x = np.concatenate(
        [
            random.standard_normal(400) * 2.0 ** random.integers(-30, 20, 400),
            [0, -0.0, INF, 65504, 65519.9, 65520, 6e-8],
        ]
    )
    x = x.astype(np.float32)
    with np.errstate(over="ignore"):
        half = x.astype(np.float16)
    assert (evaluate("cvt.rn.f16.f32 %d, %a", "f16 f32", x).view(np.uint16) == half.view(np.uint16)).all()
    assert (evaluate("cvt.f32.f16 %d, %a", "f32 f16", half) == half.astype(np.float32)).all()
    assert (evaluate("cvt.rn.bf16.f32 %d, %a", "bf16 f32", x) == bfloat16(x)).all()
    assert (
        evaluate("cvt.f32.bf16 %d, %a", "f32 bf16", bfloat16(x))
        == (bfloat16(x).astype(np.uint32) << 16).view(np.float32)
    ).all()
    packed = evaluate("cvt.rn.bf16x2.f32 %d, %a, %b", "u32 f32 f32", x, x[::-1])
    assert (packed == bfloat16(x).astype(np.uint32) << 16 | bfloat16(x[::-1])).all()


def test_float_to_integer() -> None:
    x = [2.5, -2.5, 3.5, -0.5, 1e10, -1e10, NAN, INF]
    top, bottom = 2**31 - 1, -(2**31)
    for mode, small in {
        "rni": [2, -2, 4, 0],
        "rzi": [2, -2, 3, 0],
        "rmi": [2, -3, 3, -1],
        "rpi": [3, -2, 4, 0],
    }.items():
        assert (evaluate(f"cvt.{mode}.s32.f32 %d, %a", "s32 f32", x) == [*small, top, bottom, 0, top]).all(), mode
    assert (evaluate("cvt.rzi.u32.f32 %d, %a", "u32 f32", x) == [2, 0, 3, 0, 2**32 - 1, 0, 0, 2**32 - 1]).all()
    assert (evaluate("cvt.rzi.s64.f64 %d, %a", "s64 f64", [NAN, 1e30, -7.9]) == [-(2**63), 2**63 - 1, -7]).all()
    assert (evaluate("cvt.rni.f32.f32 %d, %a", "f32 f32", [2.5, -3.5, 1e10]) == np.float32([2, -4, 1e10])).all()
    assert (evaluate("cvt.sat.f32.f32 %d, %a", "f32 f32", [2.5, -3.5, NAN, 0.25]) == [1, 0, 0, 0.25]).all()


def test_integer_to_float() -> None:
    n = [2**24 + 1, -(2**24 + 1), 7, 2**31 - 1]
    assert (evaluate("cvt.rn.f32.s32 %d, %a", "f32 s32", n) == np.array(n).astype(np.float32)).all()
    assert (evaluate("cvt.rz.f32.s32 %d, %a", "f32 s32", n) == [2**24, -(2**24), 7, 2**31 - 128]).all()
    assert (evaluate("cvt.rn.f64.u64 %d, %a", "f64 u64", np.uint64([2**64 - 1, 2**53 + 1])) == [2.0**64, 2.0**53]).all()


def test_integer_to_integer() -> None:
    n = [300, -1, 127, -129]
    assert (evaluate("cvt.s8.s32 %d, %a", "s16 s32", n) == [44, -1, 127, 127]).all()
    assert (evaluate("cvt.sat.s8.s32 %d, %a", "s16 s32", n) == [127, -1, 127, -128]).all()
    assert (evaluate("cvt.u8.s32 %d, %a", "u16 s32", n) == [44, 255, 127, 127]).all()
    assert (evaluate("cvt.s64.s32 %d, %a", "s64 s32", n) == n).all()
    assert (evaluate("cvt.u64.u32 %d, %a", "u64 s32", n) == np.array(n, np.int32).view(np.uint32)).all()
    assert (evaluate("cvt.u32.u8 %d, %a", "u32 u16", [300, 255]) == [44, 255]).all()


def test_moves() -> None:
    assert (
        evaluate("mov.b64 %d, {%a, %b}", "u64 u32 u32", [1, 2**32 - 1], [2, 3]) == [2**33 + 1, 3 * 2**32 + 2**32 - 1]
    ).all()
    assert (evaluate("mov.b64 {_, %d}, %a", "u32 u64", [2**33 + 1]) == [2]).all()
    assert (evaluate("mov.b32 %d, 0f3F800000", "f32 f32", [0]) == [1]).all()
    assert (evaluate("mov.u32 %d, -5", "s32 s32", [0]) == [-5]).all()
