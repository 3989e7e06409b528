// The gradient that a forward pass left for an upstream gradient of 1, once the upstream gradient is known: to the
// device, while the host never waits to see it.
#pragma once

#include "kernels.h"
#include "memory.cuh"
#include "reduce.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T>
__device__ __forceinline__ T upstream_of(const Gradient& grad) {
  return *static_cast<const T*>(grad.upstream.data);  // autograd gives it the dtype of the loss
}

// Not where that would round twice what was rounded to a half already, or turn what counts for nothing into NaN.
template <class T>
__device__ __forceinline__ bool can_be_multiplied(const Gradient& grad, T upstream) {
  return grad.out.dtype == dtype_of<T> && absolute(upstream) <= T(Limits<T>::largest);
}

// Whether there is such a gradient and it will do, or can be multiplied: otherwise it must be computed again.
template <class T>
__device__ __forceinline__ bool can_be_settled(const Gradient& grad) {
  if (!grad.left) return false;
  const T upstream = upstream_of<T>(grad);
  return upstream == T(1) || can_be_multiplied(grad, upstream);
}

// Where it can be, multiplies its `values` values unless the upstream gradient is 1.
template <class T>
__device__ __forceinline__ bool settle(const Gradient& grad, int64_t values) {
  if (!grad.left) return false;
  const T upstream = upstream_of<T>(grad);
  if (upstream == T(1)) return true;
  if (!can_be_multiplied(grad, upstream)) return false;
  constexpr int width = 16 / sizeof(T);
  struct alignas(16) Vector {
    T values[width];
  };
  T* left = static_cast<T*>(grad.out.data);  // allocated by the forward pass, so aligned
  const int64_t first = int64_t(blockIdx.x) * threads + threadIdx.x, whole = values / width;
  Vector* const end = reinterpret_cast<Vector*>(left) + whole;
  for (Vector* at = reinterpret_cast<Vector*>(left) + first; at < end; at += int64_t(gridDim.x) * threads) {
    Vector v = *at;
#pragma unroll
    for (T& value : v.values) value *= upstream;
    *at = v;
  }
  if (first < values % width) left[whole * width + first] *= upstream;
  return true;
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
