"""What a mean over class indices is divided by, in one operator."""

import importlib.util
import itertools

import pytest
import torch
from backends import Backend
from cases import DTYPES, uniform
from torch import Tensor

import iouloss
from iouloss.checks.tensors import INTEGRAL

C = 5


@pytest.fixture
def kept(backend: Backend):
    if not backend.compiled:
        pytest.skip("the reference counts in its own losses, and has no such operator")

    def call(
        targets: Tensor,
        class_weight: Tensor | None = None,
        unit: str = "row",
        dtype: torch.dtype = torch.float32,
        rows: int | None = None,
    ) -> Tensor:
        logits = torch.empty(*(targets.shape if rows is None else (rows,)), C, dtype=dtype)
        arguments = (None if x is None else x.to(backend.device) for x in (logits, targets, class_weight))
        return torch.ops.iouloss.kept_weight(*arguments, 3, -1, unit).cpu()

    return call


def indices(*shape: int) -> Tensor:
    """Classes, of which 3 is to be ignored, and indices that are none."""
    numbers = torch.randint(-2, C + 2, shape, generator=torch.Generator().manual_seed(1))
    return torch.where(numbers == -2, torch.iinfo(torch.int64).min, numbers)


@pytest.mark.parametrize("shape", [(0,), (1,), (7, 3), (70_000,)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sum(kept, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    targets = indices(*shape)
    counts = [int((targets == c).sum()) for c in range(C)]
    counts[3] = 0
    got = kept(targets, dtype=dtype)
    assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32) and got.shape == ()
    assert got.item() == sum(counts)
    assert kept(targets, unit="logit", dtype=dtype).item() == C * int((targets != 3).sum())
    for weight_dtype in DTYPES:
        weight = uniform(C, seed=2).to(weight_dtype)
        want = sum(n * w for n, w in zip(counts, weight.double().tolist(), strict=True))
        assert kept(targets, weight, dtype=dtype).item() == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8])
def test_indices_of_any_integer_dtype(kept, dtype: torch.dtype) -> None:
    targets = torch.randint(0, C + 2, (70,), generator=torch.Generator().manual_seed(1))
    for kind, of in itertools.product(DTYPES, DTYPES[:2]):
        weight = uniform(C, seed=2).to(kind)
        assert torch.equal(kept(targets.to(dtype), weight, dtype=of), kept(targets, weight, dtype=of))


@pytest.mark.parametrize("dtype", [*DTYPES, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8])
@pytest.mark.parametrize("rows", [0, 3, 3000])
def test_dense_targets(kept, dtype: torch.dtype, rows: int) -> None:
    targets = torch.randint(0, 6, (rows, C), generator=torch.Generator().manual_seed(1)).to(dtype)
    assert kept(targets, unit="logit", rows=rows).item() == int((targets != 3).sum())


def test_strided_targets(kept) -> None:
    targets = indices(6, 8)
    assert kept(targets[:, ::3]) == kept(targets[:, ::3].contiguous())
    assert kept(targets.t()) == kept(targets)


def test_a_mean_has_no_gradient_through_it(backend: Backend, kept) -> None:
    logits = uniform(9, C, seed=3).to(backend.device).requires_grad_()
    targets = indices(9).to(backend.device)
    assert not torch.ops.iouloss.kept_weight(logits, targets, None, 3, -1, "row").requires_grad
    mean = iouloss.cross_entropy_loss(logits, targets, ignore_index=3)
    total = iouloss.cross_entropy_loss(logits, targets, ignore_index=3, reduction="sum")
    torch.testing.assert_close(mean * kept(targets.cpu()).to(backend.device), total)


def test_errors(kept) -> None:
    with pytest.raises(ValueError, match="unit: got 'box', wants 'row' or 'logit'"):
        kept(indices(4), unit="box")
    with pytest.raises(TypeError, match=r"targets: got dtype torch.float32 and shape \[4\], wants an integer dtype"):
        kept(indices(4).float())
    with pytest.raises(ValueError, match="targets: got the logits' shape for the unit 'row', wants class indices"):
        kept(torch.zeros(4, C), rows=4)
    with pytest.raises(TypeError, match=r"class_weight: got dtype torch.int8, wants float64"):
        kept(indices(4), torch.ones(C, dtype=torch.int8))
    with pytest.raises(ValueError, match=r"class_weight: got shape \[4\], wants \[5\]"):
        kept(indices(4), torch.ones(4))
    with pytest.raises(ValueError, match="class_weight: got one for the unit 'logit', which has none"):
        kept(indices(4), torch.ones(C), unit="logit")


@pytest.mark.skipif(importlib.util.find_spec("expecttest") is None, reason="torch's opcheck wants expecttest")
@pytest.mark.parametrize("weighted", [False, True])
def test_opcheck(backend: Backend, kept, weighted: bool) -> None:
    logits, targets = backend.put(uniform(6, C, seed=4), indices(6))
    weight = torch.ones(C, device=backend.device) if weighted else None
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    arguments = (logits.requires_grad_(), targets, weight, 3, -1, "row")
    torch.library.opcheck(torch.ops.iouloss.kept_weight.default, arguments, test_utils=checks)


@pytest.mark.parametrize("dtype", [*INTEGRAL, torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_targets_of_any_dtype(backend: Backend, dtype: torch.dtype) -> None:
    if not backend.compiled:
        pytest.skip("the reference counts in its own losses, and has no such operator")
    ops, classes = torch.ops.iouloss, torch.tensor([0, 1, 1, 0, 1], device=backend.device)
    for kind in (torch.float64, torch.float32):
        x, weight = torch.zeros(5, 3, dtype=kind, device=backend.device), torch.tensor([0.5, 2.0, 1.0], dtype=kind)
        assert ops.kept_weight(x, classes.to(dtype).repeat(3, 1).T, None, 1, -1, "logit") == 6
        if dtype in INTEGRAL:
            assert ops.kept_weight(x, classes.to(dtype), None, 1, -1, "logit") == 6
            assert ops.kept_weight(x, classes.to(dtype), weight.to(backend.device), None, -1, "row") == 7
            assert ops.kept_weight(x, classes.to(dtype), None, 0, -1, "row") == 3
