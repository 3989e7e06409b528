"""The losses on rows of logits: precision, the full range of numbers, and derivatives of derivatives."""

import math

import pytest
import torch
from backends import EMULATED, Backend, compiling, every_kind, of_the_reference
from cases import HALVES, evaluate, random_logits
from operators import arguments as of_operator
from properties import given, st
from row_cases import KERNEL_CASES, ROW_CASE, ROW_CASES, RowCase, every_kernel, every_row_case, row_losses, row_truths
from torch import Tensor

from iouloss import cross_entropy_loss, kl_div_loss, softmax_focal_loss

pytestmark = pytest.mark.extension

GAMMAS = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)


def peaked_logits(rows: int, classes: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Rows in which one class leads the others by anything from nothing to 60, either way."""
    logits = random_logits(rows, classes) / 10
    logits[torch.arange(rows), torch.arange(rows) % classes] += torch.linspace(-60, 60, rows).double()
    return logits.to(dtype)


# ----------------------------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("classes", [2, 5, 19, 80])
@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
def test_precision_of_the_focal_loss(backend: Backend, gamma: float, classes: int, dtype: torch.dtype) -> None:
    """Where the class leads, what is lost is relative to what is left."""
    case = RowCase("", softmax_focal_loss, "classes", {"alpha": None, "gamma": gamma})
    rows = backend.size(400)
    logits = torch.cat((peaked_logits(rows, classes, dtype), (1000 * random_logits(rows, classes)).to(dtype)))
    targets = torch.arange(2 * rows) % classes
    got, wanted = row_losses(case, backend, logits, targets), row_truths(case, logits, targets)
    for kind, g, w in zip(("loss", "gradient"), got, wanted, strict=True):
        counts = w.abs() > 1e-25
        rounding = torch.zeros_like(w)
        if kind == "gradient" and dtype != torch.float32:
            info = torch.finfo(dtype)
            rounding = w.abs() * info.eps / 2 + info.smallest_normal * info.eps
        error = ((g.double() - w).abs() - rounding).clamp(min=0) / w.abs()
        most = 5e-6 if gamma > 2 else 1e-6
        assert error[counts].max() <= (most if backend.compiled else 1e-5), kind
        assert (g.double().abs()[w.abs() < 1e-30] < 1e-25).all(), kind


def test_precision_of_long_rows(backend: Backend) -> None:
    """Sums of many classes lose nothing by their number."""
    case = RowCase("", softmax_focal_loss, "classes", {"alpha": None, "gamma": 2.0})
    classes = 100_000
    logits, targets = random_logits(3, classes).float() / 4, torch.tensor([0, 256, classes - 1])
    got, wanted = row_losses(case, backend, logits, targets), row_truths(case, logits, targets)
    for kind, g, w in zip(("loss", "gradient"), got, wanted, strict=True):
        counts = w.abs() > 1e-25
        assert ((g.double() - w).abs() / w.abs())[counts].max() <= (1e-6 if backend.compiled else 1e-5), kind


@every_row_case
@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
@pytest.mark.parametrize("classes", [3, 16, 80])
def test_precision(backend: Backend, case: RowCase, dtype: torch.dtype, classes: int) -> None:
    """Of a loss relative to itself, of a gradient relative to the largest of its row."""
    rows = backend.size(200)
    logits = torch.cat((peaked_logits(rows, classes, dtype), random_logits(rows, classes, dtype=dtype)))
    targets = case.make_targets(2 * rows, classes=classes, dtype=torch.float32)
    got, wanted = row_losses(case, backend, logits, targets), row_truths(case, logits, targets)
    loss, gradient = (g.double() for g in got)
    assert [tensor.dtype for tensor in got] == [torch.float32, dtype]
    # A divergence is a difference of larger numbers.
    size = wanted[0].abs() + (1 if case.targets == "probabilities" else 0)
    counts = wanted[0].abs() > 1e-25
    assert (((loss - wanted[0]).abs() / size)[counts]).max() <= 1e-5
    largest = wanted[1].abs().amax(-1, keepdim=True)
    info = torch.finfo(dtype)
    rounding = 0 if dtype == torch.float32 else wanted[1].abs() * info.eps + info.smallest_normal * info.eps
    error = ((gradient - wanted[1]).abs() - rounding).clamp(min=0)
    # Probabilities are subtracted from each other where there is smoothing or are two targets; autograd always does
    # that for the entropy, in the truth too.
    cancelled = 0.0 if case.name in ("focal", "focal_half", "cross_entropy") else 1e-6
    cancelled *= case.options.get("temperature", 1.0)
    if case.name == "entropy" and backend.compiled:
        cancelled = 1e-14
    assert (error <= 1e-5 * largest.clamp(min=1e-25) + cancelled).all()


# ------------------------------------------------------------------------------------------------------ the full range


@every_row_case
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_extreme_logits_have_finite_losses_and_gradients(backend: Backend, case: RowCase, classes: int) -> None:
    for dtype, largest in ((torch.float32, 3.4028234e38), (torch.float64, 1.7976931348623157e308)):
        sizes = torch.tensor([0.0, 17, 50, 88, 104, 150, 745, 1e4, 1e20, largest], dtype=dtype)
        sizes = torch.cat((sizes, -sizes))
        pairs = torch.cartesian_prod(sizes, sizes)
        logits = pairs[:, torch.arange(classes) % 2]
        for seed in range(1, 4):
            targets = case.make_targets(len(logits), classes=classes, seed=seed)
            targets = targets.to(dtype) if case.targets in ("places", "probabilities") else targets
            for tensor in row_losses(case, backend, logits, targets):
                assert tensor.isfinite().all()


@given(data=st.data())
def check_finite(backend: Backend, data: st.DataObject) -> None:
    dtype, width = data.draw(st.sampled_from([(torch.float32, 32), (torch.float64, 64)]))
    finite = st.floats(allow_nan=False, allow_infinity=False, width=width)
    classes = data.draw(st.integers(1, 6))
    logits = torch.tensor(data.draw(st.lists(finite, min_size=4 * classes, max_size=4 * classes)), dtype=dtype)
    for case in KERNEL_CASES if EMULATED else ROW_CASES:
        targets = case.make_targets(4, classes=classes, seed=data.draw(st.integers(0, 99)))
        targets = targets.to(dtype) if case.targets in ("places", "probabilities") else targets
        for tensor in row_losses(case, backend, logits.reshape(4, classes), targets):
            assert tensor.isfinite().all(), case.name


def test_finite_logits_have_finite_losses(backend: Backend) -> None:
    check_finite(backend)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_negative_probability_is_no_nan(backend: Backend, dtype: torch.dtype) -> None:
    """It has no logarithm, and counts as if its logarithm were the lowest number."""
    x, q = random_logits(1, 3).to(dtype), torch.tensor([[-0.1, 0.5, 0.6]], dtype=dtype)
    loss, gradient = evaluate(lambda x: kl_div_loss(x, q.to(x.device)), *backend.put(x))
    torch.testing.assert_close(loss.item(), 0.1 * torch.finfo(dtype).max, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, q.sum() * x.softmax(-1) - q)


@every_row_case
@pytest.mark.parametrize("classes", [1, 3, 16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_nan_reaches_its_row(backend: Backend, case: RowCase, classes: int, dtype: torch.dtype) -> None:
    for place in {0, classes // 2, classes - 1}:
        logits = random_logits(16, classes, dtype=dtype)
        logits[5, place] = math.nan
        targets = case.make_targets(16, classes=classes)
        if case.targets == "classes":
            targets = torch.arange(16) % classes
        loss, gradient = row_losses(case, backend, logits, targets)
        assert loss.isnan().nonzero().flatten().tolist() == [5]
        assert gradient.isnan().any(-1).nonzero().flatten().tolist() == [5] and gradient[5].isnan().all()


@every_row_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_classes_that_cannot_be_have_no_gradient(backend: Backend, case: RowCase, dtype: torch.dtype) -> None:
    """Logits of -inf, as masks leave them."""
    if case.options.get("label_smoothing"):
        pytest.skip("smoothing makes every class possible")
    logits = random_logits(6, 5, dtype=dtype)
    logits[:, 4] = -math.inf
    targets = {"classes": torch.arange(6) % 4, "places": torch.linspace(0, 2.5, 6).double(), "none": None}.get(
        case.targets, torch.full((6, 5), 0.25).double()
    )
    if case.targets == "probabilities":
        targets[:, 4] = 0
    got = row_losses(case, backend, logits, targets)
    short = None if targets is None else targets[:, :4] if targets.ndim == 2 else targets
    wanted = row_truths(case, logits[:, :4], short)
    tolerance = {"rtol": 1e-7, "atol": 1e-7} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(got[0].double(), wanted[0], **tolerance)
    torch.testing.assert_close(got[1][:, :4].double(), wanted[1], **tolerance)
    assert not got[1][:, 4].any()


@pytest.mark.parametrize("case", [case for case in KERNEL_CASES if case.name == "focal"], ids=lambda case: case.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_only_class_that_can_be_costs_nothing(backend: Backend, case: RowCase, dtype: torch.dtype) -> None:
    logits = torch.full((3, 5), -math.inf, dtype=dtype)
    logits[torch.arange(3), torch.arange(3)] = torch.tensor([-7.0, 0.0, 100.0], dtype=dtype)
    for tensor in row_losses(case, backend, logits, torch.arange(3)):
        assert not tensor.any()


# ------------------------------------------------------------------------------------------- derivatives, and compilers


@every_row_case
def test_gradcheck(backend: Backend, case: RowCase) -> None:
    logits = (random_logits(4, 5) / 3).to(backend.device).requires_grad_()
    targets = case.make_targets(4, classes=5)
    targets = None if targets is None else targets.to(backend.device)
    assert torch.autograd.gradcheck(lambda x: case(x, targets, reduction="none"), logits)
    assert torch.autograd.gradcheck(lambda x: case(x, targets), logits)


@of_the_reference
@every_kind
@every_row_case
def test_gradgradcheck(backend: Backend, case: RowCase) -> None:
    logits = (random_logits(4, 5) / 3).to(backend.device).requires_grad_()
    targets = case.make_targets(4, classes=5)
    targets = None if targets is None else targets.to(backend.device)
    assert torch.autograd.gradgradcheck(lambda x: case(x, targets, reduction="none"), logits)
    assert torch.autograd.gradgradcheck(lambda x: case(x, targets), logits)


def test_probabilities_that_require_a_gradient_get_one(backend: Backend) -> None:
    case = ROW_CASE["kl"]
    logits, targets = (random_logits(3, 4) / 3).to(backend.device), case.make_targets(3, classes=4).to(backend.device)
    targets = targets + 0.1
    assert torch.autograd.gradcheck(lambda x, q: case(x, q), (logits.requires_grad_(), targets.requires_grad_()))


def test_class_weights_that_require_a_gradient_get_one(backend: Backend) -> None:
    logits, weight = (random_logits(3, 4) / 3).to(backend.device), torch.linspace(0.5, 2, 4).double().to(backend.device)
    classes = torch.tensor([0, 3, 1], device=backend.device)
    inputs = (logits.requires_grad_(), weight.requires_grad_())
    assert torch.autograd.gradcheck(lambda x, w: softmax_focal_loss(x, classes, w), inputs)
    assert torch.autograd.gradcheck(
        lambda x, w: cross_entropy_loss(x, classes, class_weight=w, label_smoothing=0.2, reduction="sum"), inputs
    )


@compiling
@pytest.mark.usefixtures("fresh_compiler")
@every_kernel
def test_compiled_is_eager(backend: Backend, case: RowCase) -> None:
    targets = case.make_targets(9, classes=5)
    logits, targets = [None if x is None else x.to(backend.device) for x in (random_logits(9, 5), targets)]
    compiled = torch.compile(lambda x: case(x, targets), backend="aot_eager", fullgraph=True, dynamic=True)
    for got, wanted in zip(evaluate(compiled, logits), evaluate(lambda x: case(x, targets), logits), strict=True):
        torch.testing.assert_close(got, wanted)


@every_kernel
def test_func(backend: Backend, case: RowCase) -> None:
    targets = case.make_targets(4, classes=5)
    logits, targets = [None if x is None else x.to(backend.device) for x in (random_logits(4, 5), targets)]
    _, wanted = evaluate(lambda x: case(x, targets, reduction="sum"), logits)
    torch.testing.assert_close(torch.func.grad(lambda x: case(x, targets, reduction="sum"))(logits).cpu(), wanted)
    if targets is not None:
        each = torch.func.vmap(lambda x, t: case(x, t, reduction="none"))(logits, targets)
        torch.testing.assert_close(each, case(logits, targets, reduction="none"))
        of_rows = torch.func.vmap(torch.func.grad(lambda x, t: case(x, t, reduction="sum")))(logits, targets)
        torch.testing.assert_close(of_rows.cpu(), wanted)


@every_kernel
@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("n", [0, 5])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_opcheck(backend: Backend, case: RowCase, grad: bool, n: int, reduction: str) -> None:
    pytest.importorskip("expecttest")
    if not backend.compiled:
        pytest.skip("the reference has no such operator")
    targets = case.make_targets(n, classes=5, dtype=torch.float32)
    logits, targets = [
        None if x is None else x.to(backend.device) for x in (random_logits(n, 5, dtype=torch.float32), targets)
    ]
    factor = torch.tensor(3.0, device=backend.device) if reduction == "mean" else None
    weight = torch.rand(n, device=backend.device)
    inputs = case.inputs(logits, targets, weight=weight, avg_factor=factor, reduction=reduction)
    _, *options = of_operator("row_loss", inputs).values()
    checks = ["test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic"]
    checks = checks[:3] if EMULATED else checks
    op = torch.ops.iouloss
    torch.library.opcheck(op.row_loss.default, (logits.requires_grad_(grad), *options), test_utils=checks)
    upstream = torch.rand((n,) if reduction == "none" else (), device=backend.device).requires_grad_(grad)
    few = ("test_schema", "test_faketensor")
    torch.library.opcheck(op.row_loss_backward.default, (upstream, logits, *options), test_utils=few)
    if reduction == "mean":
        torch.library.opcheck(op.row_loss_and_gradient.default, (logits.detach(), *options), test_utils=few)
