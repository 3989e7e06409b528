"""Checks on a GPU beyond the tests. Each module is a program whose last line says what it found.

Exit status 0 is a success, ``CANNOT`` means that the machine lacks what the check needs, anything else is a failure.
"""

import os
import sys
from typing import Any

import torch

from iouloss import _backend

from ..steps import CANNOT

EMULATED = os.environ.get("EMULATED_CUDA") == "1"


__all__ = ["CANNOT", "EMULATED", "require_close", "require_kernels"]


def require_kernels() -> None:
    """Exit unless the CUDA kernels run: the reference would pass every check here without them."""
    if not torch.cuda.is_available():
        sys.exit("torch sees no GPU")
    if not _backend.has_cuda:
        sys.exit(f"the extension has no CUDA kernels: {_backend.load_error or _backend.BUILD}")


def require_close(what: str, got: Any, wanted: Any, rtol: float, atol: float) -> None:
    torch.testing.assert_close(got, wanted, rtol=rtol, atol=atol, msg=lambda text: f"{what}: {text}")
