from torch import Tensor

def box_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    mask: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    formula: str,
    parameter: float,
    fmt: str,
    eps: float,
    reduction: str,
) -> Tensor: ...
def sigmoid_focal_loss(
    logits: Tensor,
    targets: Tensor,
    weight: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    alpha_per_class: Tensor | None,
    alpha: float | None,
    gamma: float,
    ignore_index: int,
    reduction: str,
) -> Tensor: ...
def region_loss(
    logits: Tensor,
    targets: Tensor,
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
    ignore_index: int,
    reduction: str,
) -> Tensor: ...
def formulas() -> list[str]:
    """The names that ``formula`` takes."""

def has_cuda() -> bool:
    """Whether the CUDA kernels were built."""

def cpu_isa() -> str:
    """The CPU instruction set in use."""

def cpu_isas() -> list[str]:
    """The CPU instruction sets that were built and that this machine has."""

def set_cpu_isa(name: str) -> None:
    """Use another of ``cpu_isas()``."""
