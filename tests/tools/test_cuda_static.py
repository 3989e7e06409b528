"""The compiled CUDA kernels keep to their registers and load by the vector, on every GPU: none is needed."""

import re
from pathlib import Path

import pytest

from iouloss import _backend
from tools import cuda_static

nvcc = cuda_static.find_nvcc()
pytestmark = pytest.mark.skipif(nvcc is None, reason="no nvcc, in CUDA_HOME or on the PATH")


def kernels() -> list[cuda_static.Kernel]:
    """Of two GPUs, which have every bound on registers (csrc/cuda/policy.cuh) between them.

    sm_75 to sm_89 have the bounds of sm_90, and sm_100 has one of each. In float64 that of sm_90 is the tighter one, so
    float32 is enough of sm_120. ``python -m tools.cuda_static`` takes all GPUs, and all kernels.
    """
    assert nvcc is not None
    cuobjdump, extension = cuda_static.find_cuobjdump(nvcc), _backend.extension
    built = cuda_static.built_kernels(cuobjdump, Path(extension.__file__), "9.0") if cuobjdump and extension else []
    in_float32 = [source for source in cuda_static.SOURCES if "float64" not in source.name]
    return [
        *(built or cuda_static.compile_all(nvcc, ["9.0"])),
        *cuda_static.compile_all(nvcc, ["12.0"], in_float32),
    ]


def test_no_kernel_breaks_a_rule(capsys: pytest.CaptureFixture[str]) -> None:
    result = cuda_static.report(kernels())
    text = capsys.readouterr().out
    with capsys.disabled():  # the table is for whoever reads the log
        print(f"\n{text}")
    assert result == 0, text.split("\n\n")[-1]


def test_a_bad_kernel_is_found(tmp_path: Path) -> None:
    source = tmp_path / "bad.cu"
    source.write_text("""
        template <class Formula, class T>
        __global__ void __launch_bounds__(1024, 2) bad(T* sum, const T* values, int n) {
          T kept[64];
        #pragma unroll
          for (int i = 0; i < 64; ++i) kept[i] = values[i * blockDim.x + threadIdx.x];
          for (int k = 0; k < n; ++k)
        #pragma unroll
            for (int i = 0; i < 64; ++i) kept[i] += kept[(i + 1) % 64] * kept[i];
        #pragma unroll
          for (int i = 0; i < 64; ++i) atomicAdd(sum + i, kept[i]);
        }
        struct Formula;
        template __global__ void bad<Formula, float>(float*, const float*, int);
    """)
    assert nvcc is not None
    (kernel,) = cuda_static.compile_kernels(nvcc, source, "9.0")
    found = "\n".join(kernel.violations())
    assert all(re.search(f"sm_90 bad<Formula, float> {what}", found) for what in ("spills", "has a stack frame"))
    assert "16-byte loads" in found
    assert re.search(r"has (atom|red)\.global\.add\.f32", found)
