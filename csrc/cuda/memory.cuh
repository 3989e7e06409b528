// Loads and stores for every dtype. All threads of a launch have the same dtypes, so branches on them are uniform. A
// kernel is compiled once per number type, and any mixture of dtypes runs through it.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../core/arguments.h"
#include "../core/box.h"
#include "policy.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T>
inline constexpr Dtype dtype_of = sizeof(T) == 8 ? Dtype::float64 : Dtype::float32;

__host__ __device__ inline int size_of(Dtype dtype) {
  return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 2;
}

// Whether four consecutive values can be loaded as a vector from data + k * stride, for every k.
inline bool is_vectorizable(const void* data, Dtype dtype, int64_t stride) {
  const int64_t bytes = size_of(dtype) * 4 < 16 ? size_of(dtype) * 4 : 16;
  return reinterpret_cast<uintptr_t>(data) % bytes == 0 && stride * size_of(dtype) % bytes == 0;
}

// Converts two halves, packed in 32 bits, to float.
__device__ __forceinline__ float2 unpack(unsigned pair, Dtype dtype) {
  return dtype == Dtype::bfloat16 ? nvidia::unpack_bfloat16(pair) : nvidia::unpack_float16(pair);
}

template <class Pair>
__device__ __forceinline__ unsigned bits_of(Pair pair) {
  return *reinterpret_cast<unsigned*>(&pair);
}

__device__ __forceinline__ unsigned pack(float low, float high, Dtype dtype) {
  if (dtype == Dtype::bfloat16) return bits_of(__floats2bfloat162_rn(low, high));
  return bits_of(__floats2half2_rn(low, high));
}

// Loads one value of boxes or logits, which are never wider than the number type of the computation.
template <class T>
__device__ __forceinline__ T load(const void* data, Dtype dtype, int64_t i) {
  if constexpr (sizeof(T) == 8)
    if (dtype == Dtype::float64) return static_cast<const double*>(data)[i];
  if (dtype == Dtype::float32) [[likely]]
    return static_cast<const float*>(data)[i];
  return unpack(static_cast<const unsigned short*>(data)[i], dtype).x;
}

// Loads one dense target of an integer dtype: masks and one-hot targets.
template <class T>
__device__ __forceinline__ T load_integer(const Values& values, int64_t i) {
  return T(Indices{values.data, values.dtype}[i]);
}

// Sets out[k] = f(k) for k < count, and to `rest` beyond. The loop is not unrolled, so the code of f exists once. Four
// inlined copies, each with a branch for every integer dtype, would use up the registers of the kernel.
template <class T, class F>
__device__ __forceinline__ void each_in_turn(int count, T rest, T (&out)[per_thread], F f) {
#pragma unroll
  for (int k = 0; k < per_thread; ++k) out[k] = rest;
#pragma unroll 1
  for (int i = 0; i < count; ++i) {
    const T one = f(i);
#pragma unroll
    for (int k = 0; k < per_thread; ++k)
      if (k == i) out[k] = one;
  }
}

// Loads one value of weights or upstream gradients, which may be wider: float64 in a computation in float32.
template <class T>
__device__ __forceinline__ T load(const Values& values, int64_t i) {
  const int64_t at = i * values.stride;
  if constexpr (sizeof(T) < 8)
    if (values.dtype == Dtype::float64) [[unlikely]]
      return T(static_cast<const double*>(values.data)[at]);
  return load<T>(values.data, values.dtype, at);
}

template <class T>
__device__ __forceinline__ void store(const Output& out, int64_t i, T x) {
  if constexpr (sizeof(T) == 8)
    if (out.dtype == Dtype::float64) return void(static_cast<double*>(out.data)[i] = x);
  if (out.dtype == Dtype::float32) return void(static_cast<float*>(out.data)[i] = float(x));
  static_cast<unsigned short*>(out.data)[i] = static_cast<unsigned short>(pack(float(x), 0.f, out.dtype));
}

// Call these two with a dtype that is known at compile time, so that one branch serves all four values.
template <class T>
__device__ __forceinline__ Row4<T> widened(uint2 v, Dtype dtype) {
  const float2 a = unpack(v.x, dtype), b = unpack(v.y, dtype);
  return {a.x, a.y, b.x, b.y};
}

template <class T>
__device__ __forceinline__ uint2 narrowed(const Row4<T>& v, Dtype dtype) {
  return {pack(float(v.c0), float(v.c1), dtype), pack(float(v.c2), float(v.c3), dtype)};
}

__device__ __forceinline__ uint2 load_halves(const void* data, int64_t i) {
  return nvidia::load_constant(reinterpret_cast<const uint2*>(static_cast<const unsigned short*>(data) + i));
}

template <class T>
__device__ __forceinline__ Row4<T> widened_of(uint2 halves, Dtype dtype) {
  return dtype == Dtype::bfloat16 ? widened<T>(halves, Dtype::bfloat16) : widened<T>(halves, Dtype::float16);
}

// Loads four consecutive values of boxes or logits from index i on. is_vectorizable() must allow it.
template <class T>
__device__ __forceinline__ Row4<T> load4(const void* data, Dtype dtype, int64_t i) {
  if constexpr (sizeof(T) == 8)
    if (dtype == Dtype::float64) {
      const double2* p = reinterpret_cast<const double2*>(static_cast<const double*>(data) + i);
      const double2 a = nvidia::load_constant(p), b = nvidia::load_constant(p + 1);
      return {a.x, a.y, b.x, b.y};
    }
  if (dtype == Dtype::float32) [[likely]] {
    const float4 v = nvidia::load_constant(reinterpret_cast<const float4*>(static_cast<const float*>(data) + i));
    return {v.x, v.y, v.z, v.w};
  }
  return widened_of<T>(load_halves(data, i), dtype);
}

template <class T>
__device__ __forceinline__ void store4(const Output& out, int64_t i, const Row4<T>& v) {
  if constexpr (sizeof(T) == 8)
    if (out.dtype == Dtype::float64) {
      double2* p = reinterpret_cast<double2*>(static_cast<double*>(out.data) + i);
      p[0] = {v.c0, v.c1};
      p[1] = {v.c2, v.c3};
      return;
    }
  if (out.dtype == Dtype::float32) [[likely]] {
    *reinterpret_cast<float4*>(static_cast<float*>(out.data) + i) = {float(v.c0), float(v.c1), float(v.c2),
                                                                     float(v.c3)};
    return;
  }
  *reinterpret_cast<uint2*>(static_cast<unsigned short*>(out.data) + i) =
      out.dtype == Dtype::bfloat16 ? narrowed(v, Dtype::bfloat16) : narrowed(v, Dtype::float16);
}

template <class T>
__device__ __forceinline__ void spread(const Row4<T>& v, T (&x)[per_thread]) {
  x[0] = v.c0, x[1] = v.c1, x[2] = v.c2, x[3] = v.c3;
}

// Loads the values of a thread: x[k] is the one at begin + (first + k) * step for k < count, and 0 beyond. If `vector`
// is set, this is one vector load, which needs a step of 1 and a count of four.
template <class T>
__device__ __forceinline__ void load_values(const void* data, Dtype dtype, int64_t begin, int64_t step, int64_t first,
                                            int count, bool vector, T (&x)[per_thread]) {
  if (vector) [[likely]]
    return spread(load4<T>(data, dtype, begin + first), x);
#pragma unroll
  for (int k = 0; k < per_thread; ++k) x[k] = k < count ? load<T>(data, dtype, begin + (first + k) * step) : T(0);
}

// Converts four halves, which load_halves() has loaded. These are two steps, because a conversion waits for the memory:
// a caller issues all the loads that it needs together, and converts after that.
template <class T>
__device__ __forceinline__ void widen(uint2 halves, Dtype dtype, T (&x)[per_thread]) {
  spread(widened_of<T>(halves, dtype), x);
}

// Stores the values of a thread, as load_values() loads them. `most` is the largest count that occurs if `vector` is
// not set.
template <int most = per_thread, class T>
__device__ __forceinline__ void store_values(const Output& out, int64_t begin, int64_t step, int64_t first, int count,
                                             bool vector, const T (&x)[per_thread]) {
  if (vector) [[likely]]
    return store4<T>(out, begin + first, {x[0], x[1], x[2], x[3]});
#pragma unroll
  for (int k = 0; k < most; ++k)
    if (k < count) store(out, begin + (first + k) * step, x[k]);
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
