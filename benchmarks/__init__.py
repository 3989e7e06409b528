"""The losses against their peers and against the speed of memory: ``python -m benchmarks``."""
