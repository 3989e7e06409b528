"""A few boxes and logits of float64, on a backend, and the comparison of what comes of them."""

from typing import Any

import torch
from backends import Backend
from cases import random_boxes
from torch import Tensor


def boxes(backend: Backend, n: int = 6, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return [box.to(backend.device) for box in random_boxes(n, 10.0, dtype)]


def focal(n: int, backend: Backend, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(n, 5, generator=generator, dtype=torch.float64).to(backend.device, dtype)
    return logits, (torch.arange(n) % 7 - 1).to(backend.device)


def close(got: Any, wanted: Any) -> None:
    torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-12)
