from torch import Tensor

def box_loss(
    pred: Tensor,
    target: Tensor,
    weight: Tensor | None,
    avg_factor: Tensor | None,
    divisor: float | None,
    formula: str,
    parameter: float,
    reduction: str,
    fmt: str,
    eps: float,
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
    reduction: str,
    ignore_index: int,
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
