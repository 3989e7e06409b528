"""The backends, and which of them this machine has.

``reference`` is pure PyTorch, ``cpu-*`` the extension with one instruction set, ``cuda`` the extension on a GPU. On an
emulated GPU (``EMULATED_CUDA=1``) only ``cuda`` runs, and on fewer boxes: each takes some 10^4 times longer.
"""

import os
from dataclasses import dataclass

import pytest
import torch

from iouloss import _backend

EMULATED = os.environ.get("EMULATED_CUDA") == "1"
# For calls that the reference serves on every device: on the emulated GPU they would run no kernel, and take minutes.
of_the_reference = pytest.mark.skipif(EMULATED, reason="no kernel serves it, and nothing of it is emulated")
# Differences of losses: on the emulated device, where they would take minutes, gradients are held to the reference's.
by_differences = pytest.mark.skipif(EMULATED, reason="the gradients there are compared with the reference's instead")
BACKENDS = ("reference", "cpu-baseline", "cpu-avx2", "cpu-avx512", "cuda")


@dataclass(frozen=True)
class Backend:
    name: str
    device: str

    def size(self, n: int) -> int:
        """How many boxes or logits to take where a test would like ``n``."""
        return min(n, 64) if EMULATED else n

    def put(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        """The tensors on the backend's device."""
        return [tensor.to(self.device) for tensor in tensors]

    @property
    def compiled(self) -> bool:
        return self.name != "reference"


def unavailable(name: str) -> str | None:
    """Why a backend cannot be tested here, or None."""
    if EMULATED:
        return None if name == "cuda" else "the emulated GPU is tested alone"
    if name == "reference":
        return None
    if _backend.extension is None:
        return "the extension is not built" if _backend.load_error is None else f"it fails: {_backend.load_error}"
    if name == "cuda":
        if not _backend.has_cuda:
            return "the extension is built without CUDA"
        return None if torch.cuda.is_available() else "torch sees no GPU"
    isa = name.removeprefix("cpu-")
    return None if isa in _backend.extension.cpu_isas() else f"this processor or build does not have {isa}"


AVAILABLE = [name for name in BACKENDS if unavailable(name) is None]
# One of each kind, where the instruction set makes no difference: the reference, the widest set, the GPU.
KINDS = list({name.split("-")[0]: name for name in AVAILABLE}.values())
COMPILED = [name for name in KINDS if name != "reference"]
# torch.compile takes seconds, so the reference is left out unless it is alone: `make test` also runs without the
# extension.
compiling = pytest.mark.parametrize("backend", COMPILED or KINDS, indirect=True)
every_kind = pytest.mark.parametrize("backend", KINDS, indirect=True)
one_kind = pytest.mark.parametrize("backend", KINDS[-1:], indirect=True)
