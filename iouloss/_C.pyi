from torch import Tensor

from ._inputs import BoxInputs, LogitInputs, RegionInputs, RegressionInputs, RowInputs

def box_loss(inputs: BoxInputs) -> Tensor: ...
def logit_loss(inputs: LogitInputs) -> Tensor: ...
def regression_loss(inputs: RegressionInputs) -> Tensor: ...
def row_loss(inputs: RowInputs) -> Tensor: ...
def region_loss(inputs: RegionInputs) -> Tensor: ...
def kept_weight(inputs: tuple[Tensor, Tensor, Tensor | None, int | None, int, str]) -> Tensor:
    """The divisor of a mean in which something may be ignored: csrc/torch/losses.h, in whose order its inputs are."""

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
