"""Each fault that the device claims to catch, planted; and the same code without it, which must pass."""

import numpy as np
import pytest

from tools.emulated_cuda.executor import Program
from tools.emulated_cuda.faults import Fault

from .support import DeviceArray, compiled, fresh, run, zeros

FAULTS = {
    "past_the_end": "illegal 4-byte access at 0x[0-9a-f]+, 1024 bytes into an allocation of 1024",
    "before_the_start": "illegal 4-byte access",
    "misaligned": "misaligned 16-byte access",
    "outside_shared": r"access outside shared memory \(byte 512 of 512\)",
    "outside_local": r"access outside local memory",
    "two_store": "stored to by more than one thread.* of block",
    "read_of_another_block": "more than one thread uses",
    "add_and_plain_read": "more than one thread uses",
    "read_only_but_written": "read-only loads",
    "fold_without_release": "more than one thread uses",
    "fold_without_acquire": "more than one thread uses",
    "fold_stores_after_fence": "more than one thread uses",
    "fold_of_all_unmet": "more than one thread uses",
    "read_before_barrier": "more than one thread uses|shared memory that nothing wrote",  # as the warps happen to go
    "overwrite_before_barrier": "more than one thread uses",
    "two_store_shared": "stored to by more than one thread",
    "rotate_without_syncwarp": "more than one thread uses",
    "rotate_half_across": "more than one thread uses",
    "unwritten_global": "read of global memory that nothing wrote",
    "unwritten_tail": "read of global memory that nothing wrote",
    "unwritten_shared": "read of shared memory that nothing wrote",
    "barrier_after_exit": "100 threads of block . wait at a barrier that its other 28 never reach",
    "barriers_of_two_ways": "wait at different barriers",
    "divergent_barrier": "wait at different barriers",
    "shuffle_from_nobody": "shuffle from an inactive lane",
    "shuffle_of_absent_lanes": "never arrive",
    "endless": "instruction budget spent",
    "trapped": "trap",
    "asserted": "device assertion failed: threadIdx.x < 100",
}
RIGHT = ["two_add", "fold_right", "fold_of_all_right", "relay", "reverse_right", "two_agree_shared", "rotate_right"]
RIGHT += ["rotate_half_right"]
SEEDS = range(8)  # of the order in which blocks and warps go


@pytest.fixture(scope="module")
def program() -> Program:
    return compiled("faults.cu")


def launch(program: Program, name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    x = DeviceArray(np.arange(256), np.float32)
    out = fresh(256, np.float32) if "unwritten" in name else zeros(256, np.float32)
    run(program, name, 2, 128, x, out, zeros(1, np.uint32), seed=seed, budget=100_000)
    return x.array, out.array


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught(program: Program, name: str) -> None:
    for seed in SEEDS:
        with pytest.raises(Fault, match=FAULTS[name]):
            launch(program, name, seed)


@pytest.mark.parametrize("name", RIGHT)
def test_right_passes(program: Program, name: str) -> None:
    for seed in SEEDS:
        launch(program, name, seed)


def test_right_results(program: Program) -> None:
    assert launch(program, "fold_right", 0)[1][127] == 128
    assert (launch(program, "reverse_right", 0)[1][:128] == np.arange(128)[::-1]).all()
    assert (launch(program, "rotate_right", 0)[1] == np.arange(256) ^ 1).all()


def test_memory_of_another_device(program: Program) -> None:
    x, out = DeviceArray(np.zeros(256), np.float32), DeviceArray(np.zeros(256), np.float32, device=1)
    with pytest.raises(Fault, match="access to memory of device 1 by a launch on device 0"):
        run(program, "reverse_right", 2, 128, x, out, zeros(1, np.uint32))


def test_fault_names_kernel_instruction_and_place(program: Program) -> None:
    with pytest.raises(
        Fault, match=r"two_store: .*thread \(0, 0, 0\) of block \(0, 0, 0\) and then thread \(1, 0, 0\)"
    ) as e:
        run(program, "two_store", 1, 128, zeros(128, np.float32), zeros(128, np.float32), zeros(1, np.uint32))
    assert "st.global.f32 [%rd" in str(e.value)
