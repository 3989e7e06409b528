// Rescales the gradient that a forward pass saved for an upstream gradient of 1, once the backward pass has the
// upstream gradient. The device reads that number, so the host never waits for it.
#pragma once

#include "kernels.h"
#include "memory.cuh"
#include "reduce.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// Returns whether there is a saved gradient that can be used. If so, its `values` values have been multiplied by the
// upstream gradient, which is not needed where that is 1. If not, the kernel must compute the gradient anew. Halves are
// not multiplied, because that would round them twice. Nothing is multiplied by infinity or NaN, because that would
// turn the 0 of what does not count into NaN.
template <class T>
__device__ __forceinline__ bool rescale(const Gradient& grad, int64_t values) {
  if (!grad.saved) return false;
  const T upstream = *static_cast<const T*>(grad.upstream.data);  // autograd gives it the dtype of the loss
  if (upstream == T(1)) return true;
  if (grad.out.dtype != dtype_of<T> || !(absolute(upstream) <= T(Limits<T>::largest))) return false;
  constexpr int width = 16 / sizeof(T);
  struct alignas(16) Vector {
    T values[width];
  };
  T* saved = static_cast<T*>(grad.out.data);  // allocated by the forward pass, so aligned
  const int64_t first = int64_t(blockIdx.x) * threads + threadIdx.x, whole = values / width;
  Vector* const end = reinterpret_cast<Vector*>(saved) + whole;
  for (Vector* at = reinterpret_cast<Vector*>(saved) + first; at < end; at += int64_t(gridDim.x) * threads) {
    Vector v = *at;
#pragma unroll
    for (T& value : v.values) value *= upstream;
    *at = v;
  }
  if (first < values % width) saved[whole * width + first] *= upstream;
  return true;
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
