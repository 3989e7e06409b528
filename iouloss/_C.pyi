from torch import Tensor

def box_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    mask: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    formula: str,
    gamma: float,
    lambda_: float,
    beta: float,
    fmt: str,
    eps: float,
    reduction: str,
) -> Tensor: ...
def logit_loss(
    logits: Tensor,
    targets: Tensor,
    scores: Tensor | None,
    weight: Tensor | None,
    alpha_per_class: Tensor | None,
    balance: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    formula: str,
    alpha1: float,
    alpha0: float,
    complement: bool,
    alpha: float,
    beta: float,
    gamma: float,
    gamma_neg: float,
    gamma_pos: float,
    margin: float,
    label_smoothing: float,
    smooth_all: bool,
    epsilon1: float,
    epsilon0: float,
    scale: float,
    iou_weighted: bool,
    ignore_index: int | None,
    reduction: str,
) -> Tensor: ...
def regression_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    formula: str,
    alpha: float,
    beta: float,
    gamma: float,
    factor: float,
    reduction: str,
) -> Tensor: ...
def row_loss(
    logits: Tensor,
    targets: Tensor | None,
    weight: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    class_weight: Tensor | None,
    formula: str,
    alpha: float,
    gamma: float,
    label_smoothing: float,
    poly_epsilon: float,
    temperature: float,
    ignore_index: int | None,
    class_dim: int,
    reduction: str,
) -> Tensor: ...
def region_loss(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    class_weight: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    kind: str,
    activation: str,
    per: str,
    power: int,
    alpha: float,
    beta: float,
    gamma: float,
    smooth_numerator: float,
    smooth_denominator: float,
    ignore_index: int | None,
    reduction: str,
) -> Tensor: ...
def kept_weight(
    logits: Tensor, targets: Tensor, class_weight: Tensor | None, ignore_index: int | None, class_dim: int, unit: str
) -> Tensor:
    """The divisor of a mean in which something may be ignored: csrc/torch/losses.h."""

def losses() -> dict[str, dict[str, dict[str, str]]]:
    """Of each shape, its losses; of each loss, the options that it takes, and what they may be."""

def has_cuda() -> bool:
    """Whether the CUDA kernels were built."""

def cpu_isa() -> str:
    """The CPU instruction set in use."""

def cpu_isas() -> list[str]:
    """The CPU instruction sets that were built and that this machine has."""

def set_cpu_isa(name: str) -> None:
    """Use another of ``cpu_isas()``."""
