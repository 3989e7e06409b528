"""PTX text, taken apart."""

from .module import Function, Module
from .syntax import Instruction, Variable

__all__ = ["Function", "Instruction", "Module", "Variable"]
