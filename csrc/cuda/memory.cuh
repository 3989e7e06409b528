// Loads and stores of every dtype. The dtype is the same for a whole launch, so these branches are uniform; a kernel
// is compiled once for a number type, and any mixture of dtypes runs through it.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "../core/arguments.h"
#include "policy.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T>
inline constexpr Dtype dtype_of = sizeof(T) == 8 ? Dtype::float64 : Dtype::float32;

__host__ __device__ inline int size_of(Dtype dtype) {
  return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 2;
}

// Whether four consecutive values from data + 4k * stride on can be loaded as a vector, for every k.
inline bool is_vectorizable(const void* data, Dtype dtype, int64_t stride) {
  const int64_t bytes = size_of(dtype) * 4 < 16 ? size_of(dtype) * 4 : 16;
  return reinterpret_cast<uintptr_t>(data) % bytes == 0 && stride * size_of(dtype) % bytes == 0;
}

__device__ __forceinline__ float2 unpack(unsigned pair, Dtype dtype) {
  float2 both;
  if (dtype == Dtype::bfloat16) {  // __uint_as_float() would move each from one kind of PTX register to the other
    asm("shl.b32 %0, %2, 16; and.b32 %1, %2, 0xffff0000;" : "=f"(both.x), "=f"(both.y) : "r"(pair));
    return both;
  }
  asm("{.reg .b16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high;}"
      : "=f"(both.x), "=f"(both.y)
      : "r"(pair));
  return both;
}

template <class Pair>
__device__ __forceinline__ unsigned bits_of(Pair pair) {
  return *reinterpret_cast<unsigned*>(&pair);
}

__device__ __forceinline__ unsigned pack(float low, float high, Dtype dtype) {
  if (dtype == Dtype::bfloat16) return bits_of(__floats2bfloat162_rn(low, high));
  return bits_of(__floats2half2_rn(low, high));
}

// An index that the compiler does not follow from one pass of a loop to the next: from sm_100 on it keeps a running
// address for every load in the loop, in some 60 registers.
__device__ __forceinline__ int64_t opaque(int64_t i) {
  asm("" : "+l"(i));
  return i;
}

// In a branch that is hardly ever taken: else the compiler does what is in it always, and chooses.
__device__ __forceinline__ void keep_branch() { asm volatile(""); }

// One value of boxes or logits, which are never wider than the computation.
template <class T>
__device__ __forceinline__ T load(const void* data, Dtype dtype, int64_t i) {
  if constexpr (sizeof(T) == 8)
    if (dtype == Dtype::float64) return static_cast<const double*>(data)[i];
  if (dtype == Dtype::float32) [[likely]]
    return static_cast<const float*>(data)[i];
  return unpack(static_cast<const unsigned short*>(data)[i], dtype).x;
}

// One of dense targets that are integers: masks and one-hot ones.
template <class T>
__device__ __forceinline__ T load_integer(const Values& values, int64_t i) {
  return T(Indices{values.data, values.dtype}[i]);
}

// out[k] = f(k) below count, else `rest`. The code of f is there once: four in line, of all dtypes of integers, would
// take the registers of the kernel around them.
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

// One value of weights or upstream gradients, which may be.
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

// The dtype is a constant in the calls of these two: one branch for all four.
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
  return __ldg(reinterpret_cast<const uint2*>(static_cast<const unsigned short*>(data) + i));
}

template <class T>
__device__ __forceinline__ Row4<T> widened_of(uint2 halves, Dtype dtype) {
  return dtype == Dtype::bfloat16 ? widened<T>(halves, Dtype::bfloat16) : widened<T>(halves, Dtype::float16);
}

// Four consecutive values of boxes or logits from index i on, which is_vectorizable() allows.
template <class T>
__device__ __forceinline__ Row4<T> load4(const void* data, Dtype dtype, int64_t i) {
  if constexpr (sizeof(T) == 8)
    if (dtype == Dtype::float64) {
      const double2* p = reinterpret_cast<const double2*>(static_cast<const double*>(data) + i);
      const double2 a = __ldg(p), b = __ldg(p + 1);
      return {a.x, a.y, b.x, b.y};
    }
  if (dtype == Dtype::float32) [[likely]] {
    const float4 v = __ldg(reinterpret_cast<const float4*>(static_cast<const float*>(data) + i));
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

// The values of a thread: from the value `first` on, `count` of those that lie `step` apart from index `begin` on; 0
// beyond. As a vector where that is allowed, which takes a step of 1 and a count of four.
template <class T>
__device__ __forceinline__ void load_values(const void* data, Dtype dtype, int64_t begin, int64_t step, int64_t first,
                                            int count, bool vector, T (&x)[per_thread]) {
  if (vector) [[likely]]
    return spread(load4<T>(data, dtype, begin + first), x);
#pragma unroll
  for (int k = 0; k < per_thread; ++k) x[k] = k < count ? load<T>(data, dtype, begin + (first + k) * step) : T(0);
}

// Four halves in two steps, since to widen them waits for the memory: first all are loaded that are wanted together.
template <class T>
__device__ __forceinline__ void widen(uint2 halves, Dtype dtype, T (&x)[per_thread]) {
  spread(widened_of<T>(halves, dtype), x);
}

// `most`: of those that are no vector.
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
