"""Runs PyTorch's own CUDA operators on the emulated devices: each takes the CPU kernel over the same memory, since the
devices' memory is host memory. Kernels of the extension under test are not touched."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from . import device
from .executor import READ, WRITE

# Operators that make or change storage: they already do what they should.
_AS_IT_IS = {
    "aten::empty.memory_format", "aten::empty_strided", "aten::resize_", "aten::set_", "aten::set_.source_Storage",
    "aten::set_.source_Storage_storage_offset", "aten::set_.source_Tensor", "aten::is_set_to", "aten::record_stream",
    "aten::is_pinned", "aten::_pin_memory",
}  # fmt: skip


def host_alias(t: torch.Tensor) -> torch.Tensor:
    """A CPU tensor over the memory of an emulated CUDA tensor."""
    storage = t.untyped_storage()
    size = storage.nbytes()
    if size == 0:
        return torch.empty_strided(t.size(), t.stride(), dtype=t.dtype)
    raw = torch.frombuffer((ctypes.c_uint8 * size).from_address(storage.data_ptr()), dtype=torch.uint8)
    return torch.empty(0, dtype=t.dtype).set_(raw.untyped_storage(), t.storage_offset(), t.size(), t.stride())


def _is_cuda(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.is_cuda


def _mapped(f: Callable[[Any], Any], x: Any) -> Any:
    return type(x)(_mapped(f, item) for item in x) if isinstance(x, (tuple, list)) else f(x)


def _leaves(x: Any) -> Iterator[Any]:
    if isinstance(x, (tuple, list)):
        for item in x:
            yield from _leaves(item)
    else:
        yield x


class _Memory:
    """The device memory that an operator reads and writes."""

    def __init__(self, read: Iterable[torch.Tensor], written: Iterable[torch.Tensor]):
        self.written = [(t.data_ptr(), _extent(t)) for t in written if _is_cuda(t) and t.numel()]
        self.read = [t.data_ptr() for t in read if _is_cuda(t) and t.numel()]

    def note(self, stream: int) -> None:
        for address in self.read:
            device.use_memory(stream, address, READ)
        for address, size in self.written:
            device.use_memory(stream, address, WRITE)
            device.mark_written(address, size)


def _extent(t: torch.Tensor) -> int:
    return (sum((n - 1) * stride for n, stride in zip(t.size(), t.stride(), strict=True)) + 1) * t.element_size()


TensorMap = Callable[[torch.Tensor], torch.Tensor]


class _Call:
    """A call of an operator on another kind of device, with a stand-in there for each tensor of its arguments."""

    def __init__(self, op: Any, args: Any, kwargs: dict[str, Any], kind: str, stand_in: TensorMap):
        self.op, self.kind, self.stand_in = op, torch.device(kind), stand_in
        self.pairs: list[tuple[torch.Tensor, torch.Tensor]] = []  # stand-ins and tensors
        self.args = _mapped(self._moved, args)
        self.kwargs = {name: _mapped(self._moved, value) for name, value in kwargs.items()}

    def _moved(self, x: Any) -> Any:
        if isinstance(x, torch.device):
            return self.kind
        if not isinstance(x, torch.Tensor):
            return x
        self.pairs.append((self.stand_in(x), x))
        return self.pairs[-1][0]

    def run(self, new: TensorMap) -> Any:
        """The operator's result, in which a tensor replaces its stand-in, and `new` makes a tensor of any other."""
        tensors = {id(stand_in): tensor for stand_in, tensor in self.pairs}

        def back(x: Any) -> Any:
            if not isinstance(x, torch.Tensor):
                return x
            return tensors[id(x)] if id(x) in tensors else new(x)

        return _mapped(back, self.op(*self.args, **self.kwargs))


class _Operator:
    """An operator of torch, on the host instead of the device."""

    def __init__(self, op: Any, schema: torch.FunctionSchema):
        self.op = op
        self.copies = op is torch.ops.aten.copy_.default
        self.written = [(i, a.name) for i, a in enumerate(schema.arguments) if a.alias_info and a.alias_info.is_write]
        self.returns_to_host = any("Tensor" not in str(r.type) for r in schema.returns)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves = [*_leaves([args, list(kwargs.values())])]
        where = kwargs.get("device") or next(x.device for x in leaves if _is_cuda(x))
        values = [args[i] if i < len(args) else kwargs.get(name) for i, name in self.written]
        targets = [x for x in _leaves(values) if isinstance(x, torch.Tensor)]
        stream = device.current_stream(where)
        self._check_devices(where, stream, leaves)
        waits = self.returns_to_host or self._copies_to_or_from_host(leaves, targets, kwargs)
        if device.capturing():
            if waits:
                raise RuntimeError(f"{self.op}: the host cannot wait for the device while a stream is captured")
            return self._record(where, stream, args, kwargs, targets)

        def to_device(x: torch.Tensor) -> torch.Tensor:
            out = torch.empty_strided(x.size(), x.stride(), dtype=x.dtype, device=where)
            host_alias(out).copy_(x)
            return out

        call = _Call(self.op, args, kwargs, "cpu", _host_memory)
        outputs = call.run(to_device)
        for alias, tensor in call.pairs:  # an out= argument that the operator resized
            if alias.size() != tensor.size():
                tensor.resize_(alias.size())
                host_alias(tensor).copy_(alias)
        device.begin_work(stream)
        device.operators.append(self.op.__name__)
        _Memory(leaves, [*_leaves(outputs), *targets]).note(stream)
        if waits:
            device.host_waits(stream)
        return outputs

    def _check_devices(self, where: torch.device, stream: int, leaves: list[Any]) -> None:
        """Raises where a CUDA kernel could not run: the CPU kernel would mix the memory of two devices, unnoticed."""
        for other in {x.device for x in leaves if isinstance(x, torch.Tensor) and (x.dim() or _is_cuda(x))} - {where}:
            if self.copies and other.type == "cuda":
                device.join(stream, device.current_stream(other))
            elif not self.copies and "index" not in self.op.__name__:
                raise RuntimeError(f"{self.op}: expected all tensors to be on the same device, not {where} and {other}")

    def _copies_to_or_from_host(self, leaves: list[Any], targets: list[torch.Tensor], kwargs: dict[str, Any]) -> bool:
        copies = self.copies and not (leaves[-1] is True or kwargs.get("non_blocking"))
        touched = leaves if copies else targets
        return any(isinstance(x, torch.Tensor) and not _is_cuda(x) for x in touched)

    def _record(
        self, where: torch.device, stream: int, args: Any, kwargs: dict[str, Any], targets: list[torch.Tensor]
    ) -> Any:
        """The operator's results while a graph is captured: memory that a replay of the graph will fill."""
        made: list[torch.Tensor] = []

        def allocated(x: torch.Tensor) -> torch.Tensor:
            made.append(torch.empty_strided(x.size(), x.stride(), dtype=x.dtype, device=where))
            return made[-1]

        outputs = _Call(self.op, args, kwargs, "meta", _meta).run(allocated)
        later = _Call(self.op, args, kwargs, "cpu", _host_memory)
        memory = _Memory([tensor for _, tensor in later.pairs], [*made, *targets])
        filled = [host_alias(t) for t in made]
        later.pairs = [(alias, alias) for alias, _ in later.pairs]  # a graph keeps no tensor alive

        def replay(stream: int) -> None:
            memory.note(stream)
            slots = iter(filled)
            later.run(lambda x: next(slots).copy_(x))

        device.record(stream, replay)
        return outputs


def _host_memory(x: torch.Tensor) -> torch.Tensor:
    return host_alias(x.detach() if x.requires_grad else x) if _is_cuda(x) else x


def _meta(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(x.size(), x.stride(), dtype=x.dtype, device="meta")


def _runs_on_host(name: str) -> bool:
    """Whether an operator has a kernel for CUDA that must not run: it takes tensors and is no view."""
    if not name.startswith("aten::") or name in _AS_IT_IS or "backward_compat" in name:
        return False
    if name != "aten::copy_" and not torch._C._dispatch_has_kernel_for_dispatch_key(name, "CUDA"):
        return False
    arguments = _schema(name).arguments
    is_view = any(a.alias_info is not None and not a.alias_info.is_write for a in arguments)
    return not is_view and any("Tensor" in str(a.type) for a in arguments)


def _schema(name: str) -> torch.FunctionSchema:
    base, _, overload = name.partition(".")
    return torch._C._get_schema(base, overload)


def _install() -> torch.library.Library:
    torch.backends.cudnn.enabled = False
    library = torch.library.Library("aten", "IMPL", "CUDA")  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that kernels are replaced: it is the purpose
        for name in filter(_runs_on_host, torch._C._dispatch_get_all_op_names()):
            short = name.removeprefix("aten::")
            base, _, overload = short.partition(".")
            op = getattr(getattr(torch.ops.aten, base), overload or "default")
            library.impl(short, _Operator(op, _schema(name)), with_keyset=False)  # type: ignore[no-untyped-call]
    return library


_library = _install()  # its kernels are there as long as it lives
