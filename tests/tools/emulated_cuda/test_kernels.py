"""Whole kernels: what threads do together, the shapes of launches, and a fused loss."""

from typing import Any

import numpy as np
import pytest

from tools.emulated_cuda.executor import Program, Shape
from tools.emulated_cuda.faults import Fault

from .support import DeviceArray, compiled, fresh, run, zeros

t = np.arange(96)
lane, warp = t % 32, t // 32
random = np.random.default_rng(0)


@pytest.fixture(scope="module")
def program() -> Program:
    return compiled("kernels.cu")


EXPECTED = {
    "shuffle_up": np.where(lane < 3, t, t - 3),
    "shuffle_down_of_8": np.where(t % 8 + 3 < 8, t + 3, t),
    "shuffle_xor": t ^ 5,
    "shuffle_from_1_of_4": t // 4 * 4 + 1,
    "shuffle_of_a_double": t ^ 1,
    "ballot": [sum(1 << i for i in range(32) if (w * 32 + i) % 3 == 0) for w in warp],
    "any_and_all": np.select([warp == 0, warp == 1], [2, 1], 0),
    "match": 0x11111111 << t % 4,
    "reduce_in_warp": warp * 32 * 31 + 31 * 16,
    "active": np.where(t % 2, 0xAAAAAAAA, 0),
    "count_in_block": 32 + 100 + 0 * t,
    "diverge_and_meet": np.array([sum(i if i % 2 else 1 for i in range(x % 7, 0, -1)) for x in range(96)])[t ^ 1],
    "indexed_local_array": (t % 16) ** 2,
    "variables": np.array([3, 1, 4, 1])[t % 4] + 5,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_threads_together(program: Program, name: str) -> None:
    out = zeros(96, np.uint32)
    run(program, name, 1, 96, out)
    assert (out.array == np.asarray(EXPECTED[name], np.uint32)).all()


def test_shapes(program: Program) -> None:
    grid, block = (3, 2, 2), (5, 3, 2)
    out = zeros(12 * 30, np.int32)
    params = {"shape_param_0": out.array.ctypes.data.to_bytes(8, "little")}
    stats = program.kernel("shape").launch(Shape(grid, block, 120), params, [out.allocation()])
    z, y, x, c, b, a = np.meshgrid(*map(np.arange, (2, 2, 3, 2, 3, 5)), indexing="ij")
    assert (out.array == (1000 * (x + 10 * y + 100 * z) + a + 10 * b + 100 * c).ravel()).all()
    assert (stats.threads, stats.barriers) == (360, 12)


def test_each_seed_orders_the_blocks_anew(program: Program) -> None:
    orders, sums = set(), set()
    for seed in range(8):
        out, total = zeros(24, np.uint32), zeros(1, np.float32)
        run(program, "order_of_blocks", 24, 32, zeros(1, np.uint32), out, total, seed=seed)
        assert sorted(out.array) == list(range(24))
        orders.add(tuple(out.array))
        sums.add(float(total.array[0]))
    assert len(orders) == 8
    assert len(sums) > 1  # what the order of the blocks decides is seen


def test_struct_parameter(program: Program) -> None:
    out = zeros(32, np.int32)
    many = np.arange(8, dtype=np.int32).tobytes() + np.float64(2).tobytes()
    kernel = program.kernel("struct_parameter")
    params = dict(
        zip([p.name for p in kernel.params], [out.array.ctypes.data.to_bytes(8, "little"), many], strict=True)
    )
    kernel.launch(Shape((1, 1, 1), (32, 1, 1)), params, [out.allocation()])
    assert (out.array == 2 * (np.arange(32) % 8)).all()


def test_atomics(program: Program) -> None:
    out = DeviceArray([0, 0, 0, 100, -1, 0, 7, 0, 0], np.int32)
    stats = run(program, "atomics", 1, 96, out)
    assert out.array[:7].tolist() == [96, 95, -1, 5, -16, 6, 8]
    assert out.array[7:8].view(np.float32) == 48 and out.array[8] == 96 * 95 // 2
    assert stats.atomics == 8 * 96


def test_too_many_threads_for_the_launch_bound() -> None:
    with pytest.raises(Fault, match="1025 threads a block"):
        run(compiled("kernels.cu"), "ballot", 1, 1025, zeros(2000, np.uint32))


# --- The fused loss: values, tails, the same sum in every order of the blocks, and what is counted ---


def focal(x: np.ndarray, target: np.ndarray) -> float:
    x, target = x.astype(np.float64), target.astype(np.float64)
    p = 1 / (1 + np.exp(-x))
    entropy = np.maximum(x, 0) - x * target + np.log1p(np.exp(-np.abs(x)))
    return float((entropy * (p * (1 - target) + (1 - p) * target) ** 2).sum())


def fused(
    name: str, grid: int, n: int, a: DeviceArray, b: DeviceArray, number: Any, seed: int = 0
) -> tuple[float, Any]:
    out = fresh(1, number)
    stats = run(
        compiled("fused_loss.cu"), name, grid, 256, a, b, fresh(64, number), zeros(1, np.uint32), out, n, seed=seed
    )
    return float(out.array[0]), stats


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("n, grid", [(1, 1), (1000, 1), (4099, 4), (4096, 10)])
def test_fused_loss(dtype: Any, n: int, grid: int) -> None:
    x, target = (random.standard_normal(n) * 4).astype(dtype), (random.random(n) < 0.3).astype(dtype)
    name = {np.float32: "focal_float", np.float64: "focal_double", np.float16: "focal_half"}[dtype]
    number = np.float64 if dtype == np.float64 else np.float32
    sums = {fused(name, grid, n, DeviceArray(x), DeviceArray(target), number, seed)[0] for seed in range(4)}
    assert len(sums) == 1
    assert sums.pop() == pytest.approx(focal(x, target), rel=1e-13 if dtype == np.float64 else 2e-6)


def test_statistics() -> None:
    n = 4096
    x = DeviceArray(np.ones(n), np.float32)
    _, stats = fused("focal_float", 4, n, x, x, np.float32)
    assert stats.load_bytes == 2 * 4 * n + 4 * 4  # both inputs once, and the partial sums
    assert stats.store_bytes == 4 * 4 + 4
    assert stats.load_sectors == 2 * 4 * n // 32 + 1
    assert stats.widths == {4: 4 + 4 + 1, 16: 2 * n // 4}
    assert stats.atomics == 4 and stats.local_bytes == 0
    assert stats.thread_instructions["ex2"] == 2 * n
    assert stats.warp_instructions * 32 > sum(stats.thread_instructions.values())
