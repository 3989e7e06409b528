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
    ignore_index: int,
    class_dim: int,
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
