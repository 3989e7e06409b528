"""A CUDA device without a GPU, for testing a PyTorch extension's compiled kernels.

`python -m tools.emulated_cuda COMMAND ...` runs COMMAND with torch seeing CUDA devices, and with this package on its
path as `emulated_cuda`. Their memory is host memory; the extension's kernels run from their compiled PTX (executor/);
torch's own CUDA operators run on the CPU over the same memory (aten_on_host.py). Nothing here measures time.
"""
