"""Where checks of values are asked for; and the environment variables, which are looked at when imported."""

import asyncio
import math
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from backends import EMULATED, KINDS, Backend, every_kind
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

import iouloss
from iouloss import _backend, _checking

ROOT = Path(iouloss.__file__).parent.parent
NAN = math.nan


# ------------------------------------------------------------------------------------------------ where it is asked for


def bad(backend: Backend) -> Tensor:
    return iouloss.entropy_loss(torch.full((2, 3), NAN, device=backend.device))


def is_checked(backend: Backend) -> bool:
    try:
        bad(backend)
    except ValueError:
        return True
    return False


@every_kind
def test_contexts(backend: Backend) -> None:
    assert not is_checked(backend) and not _checking.wanted
    with iouloss.checking():
        assert is_checked(backend)
        with iouloss.checking():
            assert is_checked(backend)
        assert is_checked(backend)
    context = iouloss.checking()
    with pytest.raises(KeyError), context:
        raise KeyError
    assert not is_checked(backend) and not _checking.wanted
    with context, context:
        assert is_checked(backend)
    assert not is_checked(backend) and not _checking.wanted


@every_kind
def test_decorator(backend: Backend) -> None:
    @iouloss.checking()
    def checked(depth: int) -> bool:
        """Calls itself."""
        return is_checked(backend) and (depth == 0 or checked(depth - 1))

    assert checked(2) and checked.__doc__ == "Calls itself." and not is_checked(backend)

    async def late() -> None: ...

    def later() -> Iterator[int]:
        yield 1

    for function in (late, later):
        with pytest.raises(TypeError, match=r"wants `with checking\(\):` inside it"):
            iouloss.checking()(function)


@every_kind
def test_threads(backend: Backend) -> None:
    """One is checked, the other is not, while the first waits in its context."""
    entered, done, found = threading.Event(), threading.Event(), []

    def other() -> None:
        entered.wait(30)
        found.append(is_checked(backend))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with iouloss.checking():
        entered.set()
        assert done.wait(30) and is_checked(backend)
    thread.join()
    assert found == [False] and not is_checked(backend)


@every_kind
def test_tasks(backend: Backend) -> None:
    """That take turns: each has its own."""

    async def asked() -> list[bool]:
        with iouloss.checking():
            started = asyncio.create_task(plain())
            return [await _checked_later(backend), await started]

    async def plain() -> bool:
        return await _checked_later(backend)

    async def both() -> list[Any]:
        return await asyncio.gather(plain(), asked(), plain())

    assert asyncio.run(both()) == [False, [True, True], False]
    assert not _checking.wanted


async def _checked_later(backend: Backend) -> bool:
    found = []
    for _ in range(3):
        await asyncio.sleep(0)
        found.append(is_checked(backend))
    assert len(set(found)) == 1
    return found[0]


# ------------------------------------------------------------------------------------------------------------- tracing


@pytest.fixture(autouse=True)
def not_warned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_checking, "_warned", False)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


class Entropy(torch.nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return iouloss.entropy_loss(x)


TRACED: dict[str, Callable[[Tensor], Any]] = {
    "compile": lambda x: torch.compile(iouloss.entropy_loss, fullgraph=True, backend="aot_eager")(x),
    "export": lambda x: torch.export.export(Entropy(), (x,)),
    "vmap": lambda x: torch.func.vmap(lambda row: iouloss.entropy_loss(row[None]))(x),
    "grad": lambda x: torch.func.grad(iouloss.entropy_loss)(x),
    "make_fx": lambda x: make_fx(lambda each: iouloss.entropy_loss(each))(x),
    "fake": lambda x: make_fx(lambda each: iouloss.entropy_loss(each), tracing_mode="fake")(x),
    "meta": lambda x: iouloss.entropy_loss(x.to("meta")),
}


@every_kind
@pytest.mark.parametrize("tracer", TRACED)
def test_a_traced_call_says_once_that_it_is_not_checked(backend: Backend, tracer: str) -> None:
    trace, x = TRACED[tracer], torch.full((2, 3), NAN, device=backend.device)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        trace(x)  # as nobody asks
    torch._dynamo.reset()
    with iouloss.checking():
        with pytest.warns(RuntimeWarning, match="traced calls have no values, and are not checked") as told:
            trace(x)
            torch._dynamo.reset()
            trace(x)
        assert len([each for each in told if "iouloss" in str(each.message)]) == 1
        assert is_checked(backend)


@pytest.mark.parametrize("backend", [name for name in KINDS if name == "cuda"], indirect=True)
def test_a_captured_call_says_that_it_is_not_checked(backend: Backend) -> None:
    x = torch.full((2, 3), NAN, device=backend.device)
    with (
        iouloss.checking(),
        pytest.warns(RuntimeWarning, match="not checked"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        iouloss.entropy_loss(x)
    with iouloss.checking():
        assert is_checked(backend)


@every_kind
def test_a_compiled_call_is_compiled_again_for_checks(backend: Backend) -> None:
    """So that the warning comes where the call was compiled before."""
    compiled, x = torch.compile(iouloss.entropy_loss, backend="aot_eager"), torch.ones(2, 3, device=backend.device)
    expected = compiled(x)
    with iouloss.checking(), pytest.warns(RuntimeWarning, match="not checked"):
        assert torch.equal(compiled(x), expected)


# --------------------------------------------------------------------------------------------------- the environment

ENVIRONMENT = """
import os

for name, value in {pairs}:
    os.environ[name] = value
    try:
        import iouloss
    except ValueError as error:
        print(error)
    del os.environ[name]
os.environ |= dict(IOULOSS_NO_EXT="", IOULOSS_CPU_ISA="", IOULOSS_CHECK={check!r})
import iouloss, torch, threading

def call():
    try:
        print(iouloss.entropy_loss(torch.full((1, 2), torch.nan)).item())
    except ValueError as error:
        print(error)

call()
thread = threading.Thread(target=call)
thread.start()
thread.join()
with iouloss.checking():
    call()
call()
"""


@pytest.mark.skipif(EMULATED, reason="needs no device: tested without the emulated one")
@pytest.mark.parametrize("check", ["1", "0"])
def test_the_environment(check: str) -> None:
    """What is no setting is refused when the package is imported; a thread begins as the environment says."""
    wants = {"IOULOSS_NO_EXT": "wants '', '0' or '1'", "IOULOSS_CHECK": "wants '', '0' or '1'"}
    settings = [("IOULOSS_NO_EXT", "true"), ("IOULOSS_NO_EXT", "2"), ("IOULOSS_CHECK", "yes")]
    if _backend.extension is not None:
        sets = ", ".join(map(repr, _backend.extension.cpu_isas()))
        wants["IOULOSS_CPU_ISA"] = f"wants one of {sets}, which this build and this processor have"
        settings[2:2] = [("IOULOSS_CPU_ISA", "nonsense"), ("IOULOSS_CPU_ISA", "AVX2")]
    messages = [f"{name}: got {value!r}, {wants[name]}" for name, value in settings]
    told = "logits: got nan at [0, 0], the first of 2, wants no NaN"
    default = told if check == "1" else "nan"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("IOULOSS")}
    inherited["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    code = ENVIRONMENT.format(pairs=settings, check=check)
    run = subprocess.run([sys.executable, "-c", code], env=inherited, capture_output=True, text=True, check=False)
    assert run.stderr == "" and run.returncode == 0
    assert run.stdout.splitlines() == [*messages, default, default, told, default]


@pytest.mark.skipif(EMULATED or _backend.extension is None, reason="needs kernels for several instruction sets")
def test_an_instruction_set_that_is_here() -> None:
    code = "import iouloss; print(iouloss.backend_info()['cpu_isas']['active'])"
    environment = os.environ | {"IOULOSS_CPU_ISA": "baseline", "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("baseline\n", "")
