"""The losses of single logits in plain PyTorch, in forms that neither cancel nor overflow."""

from collections.abc import Callable

import torch
from torch import Tensor

from .._inputs import LogitInputs
from ..checks.logits import check_logit_loss
from ..checks.tensors import are_dense
from .common import IGNORED, bounded, compute_dtype, count_up, open_number, reduce_loss, times


class Logit:
    """A logit x, by its sign, |x| and e = exp(-|x|) <= 1: no term is a difference of nearly equal numbers."""

    def __init__(self, x: Tensor) -> None:
        self.positive = x >= 0
        # Not abs(), whose gradient at 0 is 0. Either side may be chosen at 0, since what is computed from it is smooth
        # there.
        self.magnitude = torch.where(self.positive, x, -x)
        # Beyond 1000 e is 0. The clamp makes its derivative 0 as well, even where the rest of the gradient overflows.
        self.e = torch.exp(-torch.where(self.magnitude > 1000, 1000.0, self.magnitude))

    def wrong(self, z: Tensor | float) -> Tensor:
        """The share of the target that contradicts the sign of the logit."""
        return torch.where(self.positive, 1 - z, z)

    def cross_entropy(self, z: Tensor | float) -> Tensor:
        """z softplus(-x) + (1 - z) softplus(x) = log(1 + e) + wrong |x|"""
        return torch.log1p(self.e) + times(self.wrong(z), self.magnitude)

    def error(self, z: Tensor | float) -> Tensor:
        """z sigmoid(-x) + (1 - z) sigmoid(x) = (wrong + (1 - wrong) e) / (1 + e)"""
        wrong = self.wrong(z)
        return (wrong + (1 - wrong) * self.e) / (1 + self.e)

    def focus(self, z: Tensor, gamma: Tensor | float) -> Tensor:
        """error(z)**gamma; exp(-gamma |x|) where the error underflows, but its power may not."""
        error = self.error(z)
        tiny = (error < torch.finfo(error.dtype).tiny) & (self.wrong(z) == 0)
        return torch.where(tiny, torch.exp(-gamma * bounded(self.magnitude)), _power(error, gamma))


def _power(base: Tensor, exponent: Tensor | float) -> Tensor:
    """base ** exponent. A tiny base becomes the least normal number: at 0, powers below 1 have infinite derivatives."""
    tiny = torch.finfo(base.dtype).tiny
    return torch.where(base < tiny, tiny, base) ** open_number(exponent, base)


def _converted(inputs: LogitInputs, dtype: torch.dtype) -> LogitInputs:
    """The inputs with ``balance`` in ``dtype``, and ``alpha_per_class`` multiplied into ``alpha1`` and ``alpha0``."""
    if inputs.balance is not None:
        inputs = inputs._replace(balance=inputs.balance.to(dtype))
    if inputs.alpha_per_class is None:
        return inputs
    alpha1 = inputs.alpha1 * inputs.alpha_per_class.to(dtype)
    # 1 - a is computed before it is rounded.
    rest = (1 - inputs.alpha_per_class.double()).to(dtype) if inputs.complement else 1.0
    return inputs._replace(alpha1=alpha1, alpha0=inputs.alpha0 * rest)


def _alpha(p: LogitInputs, z: Tensor) -> Tensor:
    """The factor of the loss of target ``z``."""
    return p.alpha1 * z + p.alpha0 * (1 - z)


# ------------------------------------------------------------------------------- each formula: x, its target z, options


def _focal(x: Tensor, z: Tensor, p: LogitInputs, gamma: Tensor | float | None = None) -> Tensor:
    """alpha_t q^gamma BCE, where q is the error of the probability."""
    logit = Logit(x)
    return times(_alpha(p, z) * _power(logit.error(z), p.gamma if gamma is None else gamma), logit.cross_entropy(z))


def _square_focal(x: Tensor, z: Tensor, p: LogitInputs) -> Tensor:
    return _focal(x, z, p, 2.0)


def _equalized_focal(x: Tensor, z: Tensor, p: LogitInputs) -> Tensor:
    """The focal loss with an exponent for each class, by which the loss is also multiplied."""
    assert p.balance is not None  # for the type checker
    # Not scale - scale * balance: to subtract a tensor from a number would compile a graph for each number.
    gamma = p.balance * -p.scale + (p.gamma + p.scale)
    loss, largest = gamma * _focal(x, z, p, gamma), torch.finfo(x.dtype).max
    # As a factor gamma may be larger than 1, so the loss of a finite logit may overflow: it saturates.
    return torch.where((loss > largest) & ~x.isinf(), largest, loss)


def _smooth_focal(x: Tensor, z: Tensor, p: LogitInputs) -> Tensor:
    """The cross entropy takes the smoothed target. The focal factor and alpha take it only with ``smooth_all``."""
    logit = Logit(x)
    smooth = z * (1 - p.label_smoothing) + p.label_smoothing / 2
    label = smooth if p.smooth_all else z
    return times(_alpha(p, label) * logit.focus(label, p.gamma), logit.cross_entropy(smooth))


def _focal_star(x: Tensor, z: Tensor, p: LogitInputs) -> Tensor:
    """softplus(-(gamma x_t + beta)) / gamma"""
    u = times(p.gamma * (1 - 2 * z), x) - p.beta
    u = torch.where(x.isinf(), u, bounded(u))
    return times(_alpha(p, z), Logit(u).cross_entropy(0.0)) / p.gamma


def _poly_focal(x: Tensor, z: Tensor, p: LogitInputs) -> Tensor:
    """The focal loss plus epsilon_t q^(gamma + 1)"""
    logit = Logit(x)
    error, epsilon = logit.error(z), p.alpha1 * p.epsilon1 * z + p.alpha0 * p.epsilon0 * (1 - z)
    return _power(error, p.gamma) * (times(_alpha(p, z), logit.cross_entropy(z)) + epsilon * error)


def _quality_focal(x: Tensor, z: Tensor, p: LogitInputs) -> Tensor:
    """|z - p|^beta BCE"""
    logit = Logit(x)
    distance = ((1 - z) * logit.error(0.0) - z * logit.error(1.0)).abs()
    return times(_alpha(p, z) * _power(distance, p.beta), logit.cross_entropy(z))


def _varifocal(x: Tensor, z: Tensor, p: LogitInputs, positive: Tensor | None = None, attached: bool = True) -> Tensor:
    """``positive`` says where objects are (default: where z > 0). Unless attached, the focal factor has no gradient."""
    logit = Logit(x)
    focus = _power(logit.error(0.0), p.gamma)
    here = z > 0 if positive is None else positive
    of_object = times(p.alpha1 * (z if p.iou_weighted else torch.ones_like(z)), logit.cross_entropy(z))
    of_others = times(p.alpha0 * (focus if attached else focus.detach()), logit.cross_entropy(0.0))
    return torch.where(here, of_object, of_others)


def _varifocal_detached(x: Tensor, z: Tensor, p: LogitInputs, positive: Tensor | None = None) -> Tensor:
    return _varifocal(x, z, p, positive, attached=False)


def _gaussian_focal(x: Tensor, z: Tensor, p: LogitInputs) -> Tensor:
    logit = Logit(x)
    peak = times(p.alpha1 * _power(logit.error(1.0), p.alpha), logit.cross_entropy(1.0))
    penalty = p.alpha0 * _power(1 - z, p.beta)
    off = times(penalty * _power(logit.error(0.0), p.alpha), logit.cross_entropy(0.0))
    return torch.where(z == 1, peak, off)


def _binary_cross_entropy(x: Tensor, z: Tensor, p: LogitInputs) -> Tensor:
    logit = Logit(x)
    return times(p.alpha1 * z, logit.cross_entropy(1.0)) + times(p.alpha0 * (1 - z), logit.cross_entropy(0.0))


def _asymmetric(x: Tensor, z: Tensor, p: LogitInputs, attached: bool = False) -> Tensor:
    """The gradient includes the derivatives of the focusing factors only if attached."""
    logit = Logit(x)
    shifted = logit.error(0.0) - p.margin
    beyond = shifted > 0
    shifted = torch.where(beyond, shifted, 0.0)
    below = 1.0 if p.gamma_neg == 0 else 0.0
    focus = _power(logit.error(1.0), p.gamma_pos), torch.where(beyond, _power(shifted, p.gamma_neg), below)
    if not attached:
        focus = focus[0].detach(), focus[1].detach()
    rest = torch.where(beyond, logit.error(1.0) + p.margin, 1.0)
    cost = logit.cross_entropy(0.0) if p.margin == 0 else -torch.log(rest)
    return times(p.alpha1 * z, focus[0] * logit.cross_entropy(1.0)) + times(p.alpha0 * (1 - z), focus[1] * cost)


def _asymmetric_attached(x: Tensor, z: Tensor, p: LogitInputs) -> Tensor:
    return _asymmetric(x, z, p, attached=True)


def _binary_entropy(x: Tensor, z: Tensor, p: LogitInputs) -> Tensor:
    """softplus(x) - x p = log(1 + e) + |x| e / (1 + e)"""
    logit = Logit(x)
    magnitude = torch.where(logit.magnitude > 1000, 0.0, logit.magnitude)  # beyond 1000 e is 0; 0 * inf is NaN
    return p.alpha0 * (torch.log1p(logit.e) + magnitude * logit.e / (1 + logit.e))


FORMULAS: dict[str, Callable[..., Tensor]] = {
    "square_focal": _square_focal,
    "focal": _focal,
    "equalized_focal": _equalized_focal,
    "smooth_focal": _smooth_focal,
    "focal_star": _focal_star,
    "poly_focal": _poly_focal,
    "quality_focal": _quality_focal,
    "varifocal": _varifocal,
    "gaussian_focal": _gaussian_focal,
    "binary_cross_entropy": _binary_cross_entropy,
    "asymmetric": _asymmetric,
    "asymmetric_attached": _asymmetric_attached,
    "binary_entropy": _binary_entropy,
}
UNFUSED: dict[str, Callable[..., Tensor]] = {"varifocal_detached": _varifocal_detached}


def logit_loss(inputs: LogitInputs) -> Tensor:
    """The operator behind the losses of logits; ``iouloss.functional`` documents them."""
    check_logit_loss(inputs)
    logits, targets, weight, avg_factor, formula, ignore_index, reduction, scores, *_ = inputs
    dtype = compute_dtype(logits, targets)
    x, kept, options, parameters = logits.to(dtype), None, {}, _converted(inputs, dtype)
    loss_of = FORMULAS.get(formula) or UNFUSED[formula]
    if are_dense(targets, logits):
        z = targets.to(dtype)
        if ignore_index is not None:
            kept = (z if targets.is_floating_point() else targets.long()) != ignore_index
    else:
        index = targets.long()  # before the comparison: a uint8 cannot hold -100
        kept = (index != (IGNORED if ignore_index is None else ignore_index))[..., None]
        # An index that is not a class matches no column, so its row is background.
        hot = index[..., None] == count_up(logits.shape[-1], logits)
        if loss_of in (_varifocal, _varifocal_detached):
            options["positive"] = hot  # even if its score is 0
        z = hot.to(dtype) if scores is None else torch.where(hot, scores[..., None].to(dtype), 0.0)
    if weight is not None and weight.shape != logits.shape:
        weight = weight[..., None]
    if kept is None:
        return reduce_loss(loss_of(x, z, parameters), weight, avg_factor, reduction)
    if avg_factor is None and reduction == "mean":
        avg_factor = kept.expand(x.shape).sum()
    x, z = torch.where(kept, x, 0.0), torch.where(kept, z, 0.0)
    loss = torch.where(kept, loss_of(x, z, parameters, **options), 0.0)
    weight = None if weight is None else torch.where(kept, weight, 0.0)
    return reduce_loss(loss, weight, avg_factor, reduction)
