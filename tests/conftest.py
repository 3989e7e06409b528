"""What tests share as fixtures: each backend that this machine has, and a compiler that remembers nothing."""

from collections.abc import Iterator

import pytest
import torch
from backends import AVAILABLE, Backend

from iouloss import _backend, _ops


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what tries the reference beside the extension: `make test` tries most of it where it is alone."""
    for item in items:
        backend = getattr(item, "callspec", None) and item.callspec.params.get("backend")
        beside = backend == "reference" and _backend.extension is not None
        if beside and item.path.parent.name not in ("interface", "transforms"):
            item.add_marker("reference")


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
