"""The executor on code that nobody here wrote: CUB and CUDA's maths library."""

import numpy as np
import pytest

from tools.emulated_cuda.executor import Program

from .support import DeviceArray, compiled, run, zeros

random = np.random.default_rng(0)


@pytest.fixture(scope="module")
def program() -> Program:
    return compiled("cub_and_math.cu")


def test_cub_radix_sort(program: Program) -> None:
    x = DeviceArray(random.integers(-(2**31), 2**31, 512 * 5), np.int32)
    expected = np.sort(x.array.reshape(5, 512), 1)
    run(program, "sort_k", 5, 128, x)
    assert (x.array.reshape(5, 512) == expected).all()


def test_cub_scan(program: Program) -> None:
    x = DeviceArray(random.standard_normal(128 * 7), np.float32)
    expected = np.cumsum(x.array.reshape(7, 128).astype(np.float64), 1)
    run(program, "scan_k", 7, 128, x)
    np.testing.assert_allclose(x.array.reshape(7, 128), expected, atol=1e-5)


def test_maths_library(program: Program) -> None:
    n = 5000
    a = random.standard_normal(n) * 3
    x64, x32 = DeviceArray(a), DeviceArray(a, np.float32)
    out64, out32 = zeros(n, np.float64), zeros(n, np.float32)
    run(program, "math_k", (n + 127) // 128, 128, x64, x32, out64, out32, n)
    b = np.abs(a)
    expected = np.exp(a) + np.arctan(a) * np.log(b + 1) + b**1.7 + np.log1p(b) + np.tanh(a)
    np.testing.assert_allclose(out64.array, expected, rtol=1e-14)
    f = x32.array.astype(np.float64)
    g = np.abs(f)
    erf = np.vectorize(__import__("math").erf)
    expected = np.exp(f) + np.arctan2(f, 2) * np.log(g + 1) + g**1.7 + np.log1p(g) + np.tanh(f) + erf(f) + np.sin(f)
    expected += np.exp(f) * np.log(g + 1) + g**0.3 + np.sqrt(g) + 1 / np.sqrt(g + 1) + f / 3
    np.testing.assert_allclose(out32.array, expected, rtol=2e-6, atol=2e-6)
