"""Run by test_torch.py under the emulated device: torch and a library of kernels on it."""

import ctypes
import os
from collections.abc import Iterator

import pytest
import torch
from emulated_cuda import device

library = ctypes.CDLL(os.environ["LAUNCHERS"])
library.message.restype = ctypes.c_char_p


class CudaError(RuntimeError):
    pass


def call(name: str, *args: object) -> None:
    """A function of launchers.cu, on the current stream where it takes one."""
    values = [ctypes.c_void_p(a.data_ptr()) if isinstance(a, torch.Tensor) else a for a in args]
    error = getattr(library, name)(*values)
    if error:
        raise CudaError(f"{error}: {library.message(error).decode()}")


def stream() -> ctypes.c_void_p:
    return ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)


def scale(x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    call("scale", x, out, x.numel(), stream())
    return out


@pytest.fixture
def x() -> torch.Tensor:
    return torch.arange(200.0, device="cuda")


@pytest.fixture
def side() -> Iterator[torch.cuda.Stream]:
    yield torch.cuda.Stream()
    torch.cuda.synchronize()


def doubled(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


# --- Kernels and operators ---


def test_kernel_and_operators_share_memory(x: torch.Tensor) -> None:
    assert torch.equal(scale(x, torch.empty_like(x)), doubled(x))
    stats = device.history[-1]
    assert (stats.grid, stats.block) == ((2, 1, 1), (128, 1, 1))
    assert stats.load_bytes == stats.store_bytes == 800
    assert stats.load_sectors == stats.store_sectors == 25
    assert stats.widths == {4: 400}


def test_operators_give_what_the_host_gives() -> None:
    a = torch.randn(5, 7)
    w = torch.randn(7, 3)
    expected = (a @ w).relu().sum(0)[1:]
    assert torch.equal((a.cuda() @ w.cuda()).relu().sum(0)[1:].cpu(), expected)
    p = a.cuda().requires_grad_()
    (p.sigmoid() ** 2).sum().backward()
    q = a.clone().requires_grad_()
    (q.sigmoid() ** 2).sum().backward()
    assert torch.equal(p.grad.cpu(), q.grad)
    assert torch.equal(torch.arange(6, device="cuda").view(2, 3).t().contiguous().cpu(), torch.arange(6).view(2, 3).t())


def test_read_past_a_tensor_is_an_error(x: torch.Tensor) -> None:
    with pytest.raises(CudaError, match=r"illegal 4-byte access .* 796 bytes into an allocation of 796"):
        call("scale", x[:199].clone(), x, 200, stream())


def test_read_of_an_empty_tensor_is_an_error(x: torch.Tensor) -> None:
    with pytest.raises(CudaError, match=r"700: .*scale_kernel.*read of global memory that nothing wrote"):
        scale(torch.empty_like(x), x)
    half = torch.empty_like(x)
    half[:100] = 1
    with pytest.raises(CudaError, match="nothing wrote"):
        scale(half, x)
    half[100:] = 1
    scale(half, x)


def test_copies_carry_along_what_is_written(x: torch.Tensor) -> None:
    copy = torch.empty_like(x)
    call("copy", copy, x, 800, stream())
    scale(copy, x)
    call("copy", copy, torch.empty_like(x), 800, stream())
    with pytest.raises(CudaError, match="nothing wrote"):
        scale(copy, x)


def test_copy_past_an_end_is_an_error(x: torch.Tensor) -> None:
    with pytest.raises(CudaError, match="cudaMemcpy of 804 bytes"):
        call("copy", torch.empty_like(x), x, 804, stream())


def test_freed_memory_is_gone(x: torch.Tensor) -> None:
    address = x.clone().data_ptr()
    with pytest.raises(CudaError, match="illegal 4-byte access"):
        call("scale", ctypes.c_void_p(address), x, 200, stream())


def test_memory_of_the_host_is_an_error(x: torch.Tensor) -> None:
    with pytest.raises(CudaError, match="illegal 4-byte access"):
        call("scale", x.cpu(), x, 200, stream())


# --- Devices ---


def test_two_devices(x: torch.Tensor) -> None:
    assert torch.cuda.device_count() == 2
    y = x.to("cuda:1")
    assert (y + 1).device == torch.device("cuda:1")
    with torch.cuda.device(1):
        assert torch.equal(scale(y, torch.empty_like(y)), doubled(y))


def test_operator_over_two_devices_is_an_error(x: torch.Tensor) -> None:
    for other in (x.to("cuda:1"), x.cpu()):
        with pytest.raises(RuntimeError, match="expected all tensors to be on the same device"):
            x + other
    x + torch.tensor(1.0)


def test_memory_of_the_other_device_is_an_error(x: torch.Tensor) -> None:
    with torch.cuda.device(1), pytest.raises(CudaError, match="memory of device 0 by a launch on device 1"):
        scale(x, x)


def test_stream_of_the_other_device_is_an_error(x: torch.Tensor) -> None:
    other = torch.cuda.Stream(device=1)
    with pytest.raises(CudaError, match="work for device 0 on a stream of device 1"):
        call("scale", x, x, 200, ctypes.c_void_p(other.cuda_stream))


# --- Streams ---


def test_streams_that_wait(x: torch.Tensor, side: torch.cuda.Stream) -> None:
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        y = scale(x, torch.empty_like(x))
    torch.cuda.current_stream().wait_stream(side)
    assert torch.equal(y, doubled(x))


def test_kernel_before_its_input_is_there(x: torch.Tensor, side: torch.cuda.Stream) -> None:
    y = x + 1
    with torch.cuda.stream(side), pytest.raises(CudaError, match=r"used on stream .* after it was written on stream 0"):
        scale(y, torch.empty_like(y))


def test_operator_before_its_input_is_there(x: torch.Tensor, side: torch.cuda.Stream) -> None:
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        y = scale(x, torch.empty_like(x))
    with pytest.raises(RuntimeError, match="no event or wait orders them"):
        y + 1


def test_kernel_off_the_current_stream(x: torch.Tensor, side: torch.cuda.Stream) -> None:
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        y = x + 1
        with pytest.raises(CudaError, match="no event or wait orders them"):
            call("scale", y, torch.empty_like(y), 200, ctypes.c_void_p(0))


def test_overwrite_of_what_is_still_read(x: torch.Tensor, side: torch.cuda.Stream) -> None:
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        scale(x, torch.empty_like(x))
    with pytest.raises(RuntimeError, match="after it was read on stream"):
        x.zero_()


def test_host_that_waits(x: torch.Tensor, side: torch.cuda.Stream) -> None:
    y = x + 1
    torch.cuda.synchronize()
    with torch.cuda.stream(side):
        z = scale(y, torch.empty_like(y))
    side.synchronize()
    assert torch.equal(z, doubled(y))


# --- Graphs ---


def test_graph_replays_kernels_memsets_and_operators(x: torch.Tensor) -> None:
    counter = torch.full((1,), 7, dtype=torch.int32, device="cuda")
    counted = torch.zeros(1, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = scale(x, torch.empty_like(x))
        call("count", counter, counted, stream())
        z = y + 1
        x.add_(1)
    assert counter.item() == 7 and x[0].item() == 0, "capture does nothing yet"
    for first in (0, 1):
        graph.replay()
        assert torch.equal(z.cpu(), 2 * torch.arange(first, 200.0 + first) + 1)
        assert counter.item() == 1 and counted.item() == 0 and x[0].item() == first + 1


def test_graph_keeps_its_memory(x: torch.Tensor) -> None:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = scale(scale(x, torch.empty_like(x)), torch.empty_like(x))
    graph.replay()
    assert torch.equal(y, 4 * x)
    count = len(device.allocations())
    del y
    graph.replay()
    assert len(device.allocations()) == count
    graph.reset()
    assert len(device.allocations()) < count


def test_graph_over_freed_input_is_an_error(x: torch.Tensor) -> None:
    y = x + 1
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = scale(y, torch.empty_like(y))
    del y
    with pytest.raises(RuntimeError, match="illegal 4-byte access"):
        graph.replay()
    del out


def test_graph_with_a_second_stream(x: torch.Tensor, side: torch.cuda.Stream) -> None:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            y = scale(x, torch.empty_like(x))
        torch.cuda.current_stream().wait_stream(side)
        z = y + 1
    graph.replay()
    assert torch.equal(z, doubled(x) + 1)


@pytest.mark.parametrize(
    "spoil, error",
    [
        (lambda x: call("wait_for", stream()), "cudaStreamSynchronize"),
        (lambda x: call("allocate_and_free"), "cudaMalloc"),
        (lambda x: call("scale", x, x, 200, ctypes.c_void_p(0)), "on a stream that is not captured"),
        (lambda x: x.sum().item(), "the host cannot wait"),
        (lambda x: x.cpu(), "the host cannot wait"),
    ],
    ids=["synchronize", "malloc", "other-stream", "item", "cpu"],
)
def test_what_a_capture_forbids(x: torch.Tensor, spoil: object, error: str) -> None:
    with pytest.raises(RuntimeError, match=error), torch.cuda.graph(torch.cuda.CUDAGraph()):
        scale(x, torch.empty_like(x))
        with pytest.raises(RuntimeError, match=error) as first:
            spoil(x)
        raise first.value
    torch.cuda.synchronize()
    assert torch.equal(scale(x, torch.empty_like(x)), doubled(x)), "and all is well again"
