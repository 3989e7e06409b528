"""The package around the losses: modules, what it says of itself, and what it does without its extension."""

import copy
import inspect
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from backends import BACKENDS, EMULATED, Backend, unavailable
from cases import random_boxes

import iouloss
from iouloss import __main__, _backend

PACKAGE = Path(iouloss.__file__).parent
MODULES = {
    iouloss.IoULoss: (iouloss.iou_loss, {"mode": "log"}),
    iouloss.GIoULoss: (iouloss.giou_loss, {}),
    iouloss.DIoULoss: (iouloss.diou_loss, {}),
    iouloss.CIoULoss: (iouloss.ciou_loss, {}),
    iouloss.EIoULoss: (iouloss.eiou_loss, {}),
    iouloss.FocalEIoULoss: (iouloss.focal_eiou_loss, {"gamma": 0.8}),
    iouloss.CDIoULoss: (iouloss.cdiou_loss, {"base": "diou", "lambda_": 0.5}),
    iouloss.BoundedIoULoss: (iouloss.bounded_iou_loss, {"beta": 0.5}),
}


@pytest.mark.parametrize("name", BACKENDS)
def test_backend_is_tested(name: str) -> None:
    if reason := unavailable(name):
        pytest.skip(reason)


def test_the_extension_loads_where_one_was_built() -> None:
    assert _backend.load_error is None
    if _backend.extension is not None:
        assert _backend.extension.cpu_isas()[0] == "baseline"
        with pytest.raises(ValueError):
            _backend.extension.set_cpu_isa("avx1024")


# ------------------------------------------------------------------------------------------------------------- modules


@pytest.mark.parametrize("module", MODULES)
def test_box_modules(backend: Backend, module: type) -> None:
    function, parameters = MODULES[module]
    pred, target = (box.to(backend.device) for box in random_boxes(6, 10.0))
    weight = torch.rand(6, dtype=torch.float64, device=backend.device)
    options = {"reduction": "mean", "fmt": "cxcywh", "eps": 1e-2, **parameters}
    if "eps_mode" in inspect.signature(function).parameters:
        options["eps_mode"] = "torchvision"
    loss = module(**options)
    expected = function(pred, target, weight, avg_factor=3, **options)
    assert torch.equal(loss(pred, target, weight, 3), expected)
    assert torch.equal(loss(pred, target, weight=weight, avg_factor=3), expected)
    assert torch.equal(pickle.loads(pickle.dumps(copy.deepcopy(loss)))(pred, target, weight, 3), expected)
    assert torch.equal(module()(pred, target), function(pred, target))
    for name, value in options.items():
        assert f"{name}={value!r}" in repr(loss)
    kind = re.sub("^(focal|bounded)", r"\1_", module.__name__.removesuffix("Loss").lower())
    assert torch.equal(iouloss.BoxLoss(kind=kind, **options)(pred, target, weight, 3), expected)
    assert torch.equal(iouloss.BoxLoss(kind=kind)(pred, target), module()(pred, target))


def test_box_loss_module() -> None:
    assert repr(iouloss.BoxLoss(kind="cdiou", base="iou", lambda_=2.0)) == (
        "BoxLoss(kind='cdiou', reduction='mean', fmt='xyxy', eps=None, eps_mode='torchvision', base='iou', lambda_=2.0)"
    )


@pytest.mark.parametrize("alpha", [None, 0.4, "tensor"])
def test_focal_module(backend: Backend, alpha: float | str | None) -> None:
    given = torch.tensor([0.1, 0.5, 0.9]) if alpha == "tensor" else alpha
    loss = iouloss.SigmoidFocalLoss(given, 1.5, reduction="mean", ignore_index=1).to(backend.device)
    logits, targets = torch.randn(5, 3, device=backend.device), torch.arange(5, device=backend.device)
    weight = torch.rand(5, device=backend.device)
    options = {"weight": weight, "avg_factor": 2.0, "ignore_index": 1}
    moved = given.to(backend.device) if isinstance(given, torch.Tensor) else given
    assert torch.equal(
        loss(logits, targets, weight, 2.0), iouloss.sigmoid_focal_loss(logits, targets, moved, 1.5, **options)
    )
    assert "gamma=1.5" in repr(loss) and "ignore_index=1" in repr(loss)
    assert ("alpha" in dict(loss.named_buffers())) == (alpha == "tensor")
    assert torch.equal(
        iouloss.SigmoidFocalLoss().to(backend.device)(logits, targets), iouloss.sigmoid_focal_loss(logits, targets)
    )


def test_public_names_are_documented() -> None:
    for name in iouloss.__all__:
        assert inspect.getdoc(getattr(iouloss, name)), name


# ---------------------------------------------------------------------------------- what the package says of itself


def python(*arguments: str, path: Path = PACKAGE.parent, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the package in ``path``, apart from this process's settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("IOULOSS", "PYTHONWARN"))}
    inherited["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *arguments], env=inherited | environment, capture_output=True, text=True, cwd=path, check=False
    )


def copied(tmp_path: Path, build: dict[str, object]) -> Path:
    """A copy of the package without its extension, that claims to be built as ``build`` says."""
    shutil.copytree(PACKAGE, tmp_path / "iouloss", ignore=shutil.ignore_patterns("*.so", "*.pyd", "_build_info.py"))
    (tmp_path / "iouloss/_build_info.py").write_text(f"BUILD = {build!r}\n")
    # An editable install would find the extension where it was built.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nsys.meta_path = [f for f in sys.meta_path if 'Editable' not in getattr(f, '__name__', '')]\n"
    )
    return tmp_path


USE = "import iouloss, torch; b = torch.ones(2, 4, requires_grad=True); iouloss.ciou_loss(b, b + 1).backward(); "
BUILD = {
    "extension": True,
    "torch": "9.8.7+cu999",
    "python": "3.99.1",
    "cuda": "99.9",
    "cuda_archs": ["9.0"],
    "cpu_isas": ["baseline", "avx2"],
    "compiler": "g++ 99",
}
from_source = pytest.mark.skipif(EMULATED, reason="needs no device: tested without the emulated one")


def test_backend_info() -> None:
    info = iouloss.backend_info()
    assert info["version"] == iouloss.__version__
    assert info["torch"]["found"] == torch.__version__ and info["cuda"]["found"] == torch.version.cuda
    assert info["error"] is None
    assert (info["backend"]["cuda"] is None) == (not torch.cuda.is_available())
    if _backend.extension is None:
        assert info["backend"]["cpu"] == "reference" and info["cpu_isas"]["active"] is None
    else:
        assert info["backend"]["cpu"] == "compiled" and info["torch"]["built"] == torch.__version__
        assert info["cpu_isas"]["active"] in info["cpu_isas"]["usable"]
        assert set(info["cpu_isas"]["usable"]) <= set(info["cpu_isas"]["built"])


@from_source
def test_python_m_iouloss() -> None:
    run = python("-m", "iouloss")
    assert run.returncode == 0 and run.stderr == ""
    shown = dict(line.split(maxsplit=1) for line in run.stdout.splitlines())
    assert shown["version"] == iouloss.__version__ and torch.__version__ in shown["torch"]
    assert set(shown) == set(iouloss.backend_info())


@pytest.mark.parametrize(
    "word, said", [("--help", "usage: python -m iouloss"), ("--version", f"iouloss {iouloss.__version__}\n")]
)
def test_python_m_iouloss_says_what_it_is(word: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        __main__.main([word])
    assert left.value.code == 0 and capsys.readouterr().out.startswith(said)


@pytest.mark.parametrize("word", ["info", "--verbose", ""])
def test_python_m_iouloss_refuses_what_it_does_not_know(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        __main__.main([word])
    said = capsys.readouterr()
    assert left.value.code == 2 and said.out == ""
    assert said.err.startswith("usage: python -m iouloss") and f"unrecognized arguments: {word}" in said.err


@from_source
def test_no_ext_is_pure_python_without_a_warning(tmp_path: Path) -> None:
    path = copied(tmp_path, BUILD)
    (path / "iouloss/_C.py").write_text("raise SystemError('imported')\n")
    report = USE + "print(iouloss.backend_info()['backend']['cpu'])"
    run = python("-W", "error", "-c", report, path=path, IOULOSS_NO_EXT="1")
    assert (run.returncode, run.stdout, run.stderr) == (0, "reference\n", "")


@from_source
@pytest.mark.parametrize("build", [{"extension": False}, {}])
def test_a_pure_python_install_does_not_warn(tmp_path: Path, build: dict[str, object]) -> None:
    run = python("-W", "error", "-c", USE, path=copied(tmp_path, build))
    assert (run.returncode, run.stderr) == (0, "")


@from_source
@pytest.mark.parametrize("failure", ["missing", "ImportError", "OSError"])
def test_an_extension_that_fails_is_told_once(tmp_path: Path, failure: str) -> None:
    path = copied(tmp_path, BUILD)
    if failure != "missing":
        (path / "iouloss/_C.py").write_text(f"raise {failure}('undefined symbol: _ZN3c10')\n")
    run = python("-c", USE + USE, path=path)
    assert run.returncode == 0
    assert run.stderr.count("RuntimeWarning") == 1
    for text in (
        "built for: torch 9.8.7+cu999, CUDA 99.9, Python 3.99.1",
        f"found:     torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}, Python {sys.version.split()[0]}",
        "_C" if failure == "missing" else "undefined symbol: _ZN3c10",
        "pip install --no-build-isolation --force-reinstall --no-deps iouloss",
        "IOULOSS_NO_EXT=1",
    ):
        assert text in run.stderr


@from_source
def test_a_stale_extension_without_build_information_is_told(tmp_path: Path) -> None:
    path = copied(tmp_path, {})
    (path / "iouloss/_C.py").write_text("raise ImportError('undefined symbol: _ZN3c10')\n")
    run = python("-m", "iouloss", path=path)
    assert run.returncode == 0 and "built for: torch unknown" in run.stderr
    assert "ImportError: undefined symbol: _ZN3c10" in run.stdout and "cpu: reference" in run.stdout
