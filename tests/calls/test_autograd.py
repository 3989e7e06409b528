"""What a forward pass leaves for the backward pass, and that nobody can tell."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from backends import Backend
from cases import DTYPES, HALVES, BoxCase, every_case, layouts, random_boxes
from torch import Tensor

import iouloss

pytestmark = pytest.mark.regression

Loss = Callable[[Tensor], Tensor]


def boxes(backend: Backend, dtype: torch.dtype, **options: str | float) -> tuple[Loss, Tensor]:
    pred, target = backend.put(*random_boxes(300, 64.0, dtype))
    weight = torch.linspace(0.5, 2, 300, device=backend.device)
    return lambda p: iouloss.ciou_loss(p, target, weight, **options), pred


def dense_logits(backend: Backend, dtype: torch.dtype, **options: str | float) -> tuple[Loss, Tensor]:
    logits, targets = (torch.linspace(*ends, 300).reshape(60, 5).to(dtype) for ends in ((-6.0, 7.0), (0.0, 1.0)))
    logits, targets = backend.put(logits, targets)
    return lambda x: iouloss.sigmoid_focal_loss(x, targets, **options), logits


def class_logits(backend: Backend, dtype: torch.dtype, **options: str | float) -> tuple[Loss, Tensor]:
    logits, classes = backend.put(torch.linspace(-6.0, 7.0, 300).reshape(60, 5).to(dtype), torch.arange(60) % 8 - 1)
    return lambda x: iouloss.sigmoid_focal_loss(x, classes, gamma=1.5, ignore_index=3, **options), logits


IGNORED = torch.tensor([3, 5, 6])  # of the rows below; 5 and 6 are no classes


def class_rows(backend: Backend, dtype: torch.dtype, **options: str | float) -> tuple[Loss, Tensor]:
    logits, classes = backend.put(torch.linspace(-6.0, 7.0, 300).sin().reshape(60, 5).to(dtype), torch.arange(60) % 7)
    return lambda x: iouloss.softmax_focal_loss(x, classes, gamma=1.5, ignore_index=3, **options), logits


def dense_rows(backend: Backend, dtype: torch.dtype, **options: str | float) -> tuple[Loss, Tensor]:
    logits, targets = (torch.linspace(*ends, 300).reshape(60, 5) for ends in ((-6.0, 7.0), (0.0, 0.4)))
    logits, targets = backend.put(logits.cos().to(dtype), targets.to(dtype))
    return lambda x: iouloss.kl_div_loss(x, targets, **options), logits


def regions(backend: Backend, dtype: torch.dtype, **options: str | float) -> tuple[Loss, Tensor]:
    logits, classes = torch.linspace(-6.0, 7.0, 300).reshape(5, 3, 20).to(dtype), torch.arange(100).reshape(5, 20) % 5
    logits, classes = backend.put(logits, classes)
    return lambda x: iouloss.focal_tversky_loss(x, classes, activation="softmax", ignore_index=4, **options), logits


def dense_regions(backend: Backend, dtype: torch.dtype, **options: str | float) -> tuple[Loss, Tensor]:
    logits, targets = (torch.linspace(*ends, 300).reshape(5, 3, 20).to(dtype) for ends in ((-6.0, 7.0), (0.0, 1.0)))
    logits, targets = backend.put(logits, targets)
    return lambda x: iouloss.dice_loss(x, targets, power=2, **options), logits


every_loss = pytest.mark.parametrize(
    "make", [boxes, dense_logits, class_logits, class_rows, dense_rows, regions, dense_regions]
)


def each_gradient(make: Callable[..., tuple[Loss, Tensor]], backend: Backend, dtype: torch.dtype, up: Tensor) -> Tensor:
    """The gradient of the sum, from the losses one by one: that way nothing is left."""
    loss, inputs = make(backend, dtype, reduction="none")
    leaf = inputs.detach().requires_grad_()
    losses = loss(leaf)
    return torch.autograd.grad(losses, leaf, torch.ones_like(losses) * up)[0]


@every_loss
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("upstream", [1.0, 2.0, 0.3, 0.0, 65536.0])
def test_the_upstream_gradient_counts(
    backend: Backend, make: Callable[..., tuple[Loss, Tensor]], dtype: torch.dtype, upstream: float
) -> None:
    loss, inputs = make(backend, dtype, reduction="sum")
    leaf = inputs.detach().requires_grad_()
    value = loss(leaf)
    up = torch.full_like(value, upstream)
    (got,) = torch.autograd.grad(value, leaf, up)
    want = each_gradient(make, backend, dtype, up)
    # Rounded once, whatever the upstream gradient; where float32 differs in its last place, so may a half.
    last = {torch.float16: 2.0**-10, torch.bfloat16: 2.0**-7}.get(dtype, 1e-6)
    torch.testing.assert_close(got, want, rtol=last, atol=1e-7 * upstream)
    assert got.dtype == dtype
    assert dtype not in HALVES or (got == want).double().mean() > 0.9


@every_case
@pytest.mark.parametrize("dtype", [*DTYPES, "mixed"])
@pytest.mark.parametrize("upstream", [1.0, 3.0, torch.inf])
def test_every_box_loss_leaves_its_gradient(
    backend: Backend, case: BoxCase, dtype: torch.dtype | str, upstream: float
) -> None:
    """Of more boxes than a tile or a block has, in any layout."""
    kinds = (torch.float32, torch.float64) if dtype == "mixed" else (dtype, dtype)
    pred, target = (box.to(kind) for box, kind in zip(random_boxes(300, 8.0), kinds, strict=True))
    target, weight = backend.put(target, torch.linspace(0.5, 2, 300, dtype=torch.float64))
    for view in (pred, layouts(pred)["every other column"]):
        leaf = view.to(backend.device).requires_grad_()
        losses = case(leaf, target, weight, reduction="none")
        (want,) = torch.autograd.grad(losses, leaf, torch.full_like(losses, upstream))
        loss = case(leaf, target, weight, reduction="sum")
        (got,) = torch.autograd.grad(loss, leaf, torch.full_like(loss, upstream))
        torch.testing.assert_close(loss, losses.sum(), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(got, want, equal_nan=True)
    by = torch.tensor(7.0, device=backend.device)
    for n in (5, 300):  # in one block and in several
        mean = case(leaf[:n], target[:n], weight[:n], avg_factor=by)
        torch.testing.assert_close(mean, losses[:n].sum() / 7, rtol=1e-5, atol=1e-5)
        (got,) = torch.autograd.grad(mean, leaf, torch.full_like(mean, upstream))
        if upstream == 1:
            torch.testing.assert_close(got[:n].double(), want[:n].double() / 7, rtol=2e-2, atol=1e-5)


@pytest.mark.parametrize("upstream", [torch.inf, torch.nan])
@pytest.mark.parametrize("make", [class_logits, class_rows])
def test_ignored_rows_stay_out_of_an_overflow(
    backend: Backend, make: Callable[..., tuple[Loss, Tensor]], upstream: float
) -> None:
    loss, inputs = make(backend, torch.float32, reduction="sum")
    leaf = inputs.detach().requires_grad_()
    value = loss(leaf)
    (gradient,) = torch.autograd.grad(value, leaf, torch.full_like(value, upstream))
    ignored = torch.arange(60) % 8 - 1 == 3 if make is class_logits else torch.isin(torch.arange(60) % 7, IGNORED)
    assert (gradient.cpu()[ignored] == 0).all() and not gradient.cpu()[~ignored].isfinite().any()


@every_loss
@pytest.mark.parametrize("upstream", [1.0, 3.0])
def test_a_gradient_that_was_handed_out_is_the_callers(
    backend: Backend, make: Callable[..., tuple[Loss, Tensor]], upstream: float
) -> None:
    loss, inputs = make(backend, torch.float32, reduction="mean")
    leaf = inputs.detach().requires_grad_()
    value = loss(leaf) * upstream
    (first,) = torch.autograd.grad(value, leaf, retain_graph=True)
    kept = first.clone()
    first.zero_()
    (second,) = torch.autograd.grad(value, leaf, retain_graph=True)
    assert torch.equal(second, kept)
    for count in (1, 2):
        value.backward(retain_graph=count == 1)
        torch.testing.assert_close(leaf.grad, kept * count)
    with pytest.raises(RuntimeError, match="second time"):
        value.backward()


@every_loss
def test_gradients_add_up_where_a_tensor_is_used_twice(
    backend: Backend, make: Callable[..., tuple[Loss, Tensor]]
) -> None:
    loss, inputs = make(backend, torch.float64, reduction="mean")
    leaf = inputs.detach().requires_grad_()
    hidden = leaf * 1.0
    (loss(hidden) + loss(hidden)).backward()
    (once,) = torch.autograd.grad(loss(leaf), leaf)
    torch.testing.assert_close(leaf.grad, 2 * once)


@every_loss
def test_loss_is_the_same_with_and_without_a_gradient(
    backend: Backend, make: Callable[..., tuple[Loss, Tensor]]
) -> None:
    for reduction in ("mean", "sum"):
        loss, inputs = make(backend, torch.float32, reduction=reduction)
        assert torch.equal(loss(inputs), loss(inputs.detach().requires_grad_()).detach())


@every_loss
def test_batches_of_upstream_gradients(backend: Backend, make: Callable[..., tuple[Loss, Tensor]]) -> None:
    loss, inputs = make(backend, torch.float64, reduction="mean")
    leaf = inputs.detach().requires_grad_()
    ups = torch.tensor([1.0, 2.0, -0.5], dtype=torch.float64, device=backend.device)
    value = loss(leaf)
    one_by_one = [torch.autograd.grad(value, leaf, up, retain_graph=True)[0] for up in ups]
    (together,) = torch.autograd.grad(value, leaf, ups, is_grads_batched=True)
    torch.testing.assert_close(together, torch.stack(one_by_one))


def test_all_threads_work() -> None:
    if iouloss.backend_info()["backend"]["cpu"] != "compiled":
        pytest.skip("the threads of pure PyTorch are torch's affair")
    # Nothing else in this process is parallel; what has been started by the end, the loss has started.
    program = """if True:
        import torch, iouloss
        torch.set_num_threads(3)
        boxes = torch.empty(2**17, 4)
        def threads():
            return int(open("/proc/self/status").read().split("Threads:")[1].split()[0])
        before = threads()
        iouloss.giou_loss(boxes, boxes)
        print(threads() - before)
    """
    started = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert int(started) == 2
