"""Tensors of every layout that strides can express, and memory that ends where they do."""

import ctypes
import math
import mmap
from collections.abc import Sequence
from typing import Any

import torch
from properties import st
from torch import Tensor

Layout = tuple[list[int], int]  # strides, and where the first element is


def layouts(shape: Sequence[int]) -> Any:
    """Strides for a shape, and an offset.

    Most are what views make: dimensions in another order, with gaps between and behind them, expanded ones. Some are
    what only ``as_strided`` makes, where elements overlap. An odd offset is an address that no vector is aligned to.
    """

    def placed(order: list[int], gaps: list[int], kinds: list[str], odd: list[int], offset: int) -> Layout:
        strides, next_stride = [0] * len(shape), 1
        for dim, gap in zip(reversed(order), gaps, strict=True):
            strides[dim] = next_stride * gap
            next_stride *= gap * max(shape[dim], 1)
        chosen = [
            {"plain": stride, "expanded": 0, "odd": o}[kind]
            for stride, kind, o in zip(strides, kinds, odd, strict=True)
        ]
        return chosen, offset

    count = len(shape)
    numbers = range(count)
    order = st.one_of(st.just(list(numbers)), st.permutations(numbers))
    gaps = st.one_of(st.just([1] * count), st.lists(st.sampled_from([1, 1, 2, 3]), min_size=count, max_size=count))
    kind = st.sampled_from(["plain", "plain", "plain", "expanded", "odd"])
    kinds = st.one_of(st.just(["plain"] * count), st.lists(kind, min_size=count, max_size=count))
    odd = st.lists(st.integers(0, 5), min_size=count, max_size=count)
    return st.builds(placed, order, gaps, kinds, odd, st.integers(0, 5))


def laid_out(values: Tensor, layout: Layout, shape: Sequence[int]) -> Tensor:
    """A tensor of that layout. Its memory has the values in their order, repeated as often as it takes."""
    strides, offset = layout
    size = offset + 1 + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    size = max(size, offset) if 0 not in shape else offset
    repeated = values.flatten().repeat(math.ceil(size / values.numel()))[:size] if size else values.new_empty(0)
    memory = at_the_end_of_a_page(repeated)
    return memory.as_strided(tuple(shape), tuple(strides), offset)


def at_the_end_of_a_page(values: Tensor) -> Tensor:
    """A copy whose memory ends at a page that may not be read: a read beyond it ends the process.

    Tensors on a GPU are returned as they are. The emulated GPU watches the ends of all its memory by itself.
    """
    if not values.is_cpu or values.numel() == 0:
        return values
    page, size = mmap.PAGESIZE, values.numel() * values.element_size()
    pages = -(-size // page) * page
    memory = mmap.mmap(-1, pages + page)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    if ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(address + pages), page, 0) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")
    copy = torch.frombuffer(memory, dtype=values.dtype, count=values.numel(), offset=pages - size)
    return copy.copy_(values.contiguous())
