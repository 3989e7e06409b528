"""What must not change a loss of single numbers: shape, layout, dtype, repetition, the number of threads."""

import pytest
import torch
from backends import Backend, every_kind
from cases import (
    DTYPES,
    HALVES,
    SIZES,
    evaluate,
    every_gamma,
    layouts,
    one_hot,
    random_logits,
    random_targets,
    uniform,
)
from logit_cases import FOCAL, L1, LogitCase, close, every_case, losses, numbers, parametrized, truths
from torch import Tensor

from iouloss import sigmoid_focal_loss

pytestmark = pytest.mark.regression


# ----------------------------------------------------------------------------------------- shapes, layouts and dtypes


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("columns", [1, 3, 4])
def test_every_size(backend: Backend, n: int, columns: int) -> None:
    x, z = random_logits(n, columns), random_targets(n, columns, hard=False)
    classes = torch.arange(n) % (columns + 1)
    for targets, dense in ((z, z), (classes, one_hot(classes, columns))):
        close(losses(FOCAL, backend, x, targets), truths(FOCAL, x, dense), atol=1e-14)


@every_case
def test_shapes(backend: Backend, case: LogitCase) -> None:
    for shape in ((), (0,), (3,), (2, 0, 4), (2, 3, 4), (0, 5), (5, 0)):
        x, z = random_logits(*shape) + 0.1, uniform(*shape, seed=1)
        for targets in (z, torch.zeros(shape[:-1], dtype=torch.int64)) if shape and case.takes_classes else (z,):
            for reduction in ("none", "sum", "mean"):
                loss, gradient = losses(case, backend, x, targets, reduction=reduction)
                assert loss.shape == (shape if reduction == "none" else ()) and gradient.shape == shape
                assert loss.isfinite().all() and bool(loss.any()) == (0 not in shape)


@every_case
def test_any_layout(backend: Backend, case: LogitCase) -> None:
    x, z = backend.put(*numbers(9))
    wanted = losses(case, backend, x, z)
    views, others = layouts(x), layouts(z)
    for name, view in views.items():
        for got in (losses(case, backend, view, z), losses(case, backend, x, others[name])):
            close(got, wanted, rtol=1e-10)
        close(losses(case, backend, view, others[name]), wanted, rtol=1e-10)
    if not case.takes_classes:
        return
    classes = (torch.arange(9) % 6).to(backend.device)
    wanted = losses(case, backend, x, classes)
    strided = torch.stack((classes, classes + 1), 1)[:, 0]
    for view in (x, views["misaligned"], views["columns of a wider tensor"]):
        close(losses(case, backend, view, strided), wanted, rtol=1e-10)


@every_kind
@parametrized((LogitCase("sigmoid_focal_loss", FOCAL.naive, {"gamma": 1.5}), FOCAL, L1))
def test_mixed_dtypes(backend: Backend, case: LogitCase) -> None:
    """Of every pair, with weights of every dtype: the kernels by themselves are tested in test_kernels.py."""
    for number, kind in enumerate(DTYPES):
        for place, other in enumerate((*DTYPES, torch.int64)[: None if case.takes_classes else 4]):
            x, classes = random_logits(13, 3, dtype=kind), torch.arange(13) % 4
            z = classes if other == torch.int64 else random_targets(13, 3, hard=False, dtype=other)
            weight = uniform(13, seed=10, dtype=DTYPES[(number + place) % 4])
            compute = torch.float64 if torch.float64 in (kind, other) else torch.float32
            got = losses(case, backend, x, z, weight=weight)
            assert [tensor.dtype for tensor in got] == [compute, kind]
            wanted = truths(case, x, one_hot(z, 3) if z is classes else z)[0] * weight.double()[:, None]
            close(got[:1], [wanted], rtol=1e-5 if compute == torch.float32 else 1e-10, atol=1e-30)


@pytest.mark.parametrize("dtype", HALVES)
def test_autocast_changes_nothing(backend: Backend, dtype: torch.dtype) -> None:
    for inputs_dtype in (torch.float32, dtype):
        x = random_logits(20, 3, dtype=inputs_dtype).to(backend.device)
        classes = (torch.arange(20) % 4).to(backend.device)
        expected = evaluate(lambda x, c=classes: sigmoid_focal_loss(x, c), x)
        with torch.autocast(backend.device, dtype):
            got = evaluate(lambda x, c=classes: sigmoid_focal_loss(x, c), x)
        assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(got, expected, strict=True))


# ---------------------------------------------------------------------------------------------------------- repetition


@every_gamma
def test_a_second_backward_is_the_same(backend: Backend, gamma: float) -> None:
    x = random_logits(20, 6, dtype=torch.float32).to(backend.device).requires_grad_()
    before = x.detach().clone()
    loss = sigmoid_focal_loss(x, (torch.arange(20) % 7).to(backend.device), gamma=gamma)
    first = torch.autograd.grad(loss, x, retain_graph=True)[0]
    second = torch.autograd.grad(loss, x)[0]
    assert torch.equal(first, second) and torch.equal(x.detach(), before)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_runs_are_equal_bit_by_bit(backend: Backend, gamma: float) -> None:
    rows = backend.size(3000 if backend.compiled else 100)
    x = random_logits(rows, 20, dtype=torch.float32).to(backend.device)
    classes = (torch.arange(len(x)) % 21).to(backend.device)

    def mean(x: Tensor) -> Tensor:
        return sigmoid_focal_loss(x, classes, gamma=gamma)

    first = evaluate(mean, x)
    for _ in range(20):
        assert all(torch.equal(a, b) for a, b in zip(first, evaluate(mean, x), strict=True))


def test_the_number_of_threads_changes_nothing(backend: Backend) -> None:
    if backend.device != "cpu":
        pytest.skip("the CPU's threads have no part in this backend")
    x = random_logits(20000, 8, dtype=torch.float32)
    classes = torch.arange(20000) % 9
    reduction = "mean" if backend.compiled else "none"  # torch's own sum, which the reference takes, does change
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        results.append(evaluate(lambda x: sigmoid_focal_loss(x, classes, reduction=reduction), x))
    torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
