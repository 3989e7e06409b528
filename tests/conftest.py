"""What tests share as fixtures: each backend that this machine has, and a compiler that remembers nothing."""

from collections.abc import Iterator

import pytest
import torch
from backends import AVAILABLE, Backend

from iouloss import _backend, _ops


@pytest.fixture(params=AVAILABLE)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    name = request.param
    extension = _backend.extension
    if name == "reference":
        monkeypatch.setattr(_ops, "_extension", None)
        yield Backend(name, "cpu")
    elif name == "cuda":
        yield Backend(name, "cuda")
    else:
        active = extension.cpu_isa()
        extension.set_cpu_isa(name.removeprefix("cpu-"))
        yield Backend(name, "cpu")
        extension.set_cpu_isa(active)


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
