// What NVIDIA's GPUs alone have: their instructions, and warps of threads that read each other's registers. All of it
// is here, so that another maker's GPU needs another such header. The formulas and kernels give each function its
// meaning.
#pragma once

#if defined(__CUDACC__)
#include <cstdint>

namespace iouloss::nvidia {

// ---- a thread ------------------------------------------------------------------------------------------------------

// The hardware's approximations. They take denormals for 0.
__device__ __forceinline__ float reciprocal(float x) {
  float r;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
__device__ __forceinline__ float reciprocal_root(float x) {
  float r;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}
__device__ __forceinline__ float power_of_two(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}

// a * b + c, clamped to [0, 1].
__device__ __forceinline__ float saturated_mul_add(float a, float b, float c) {
  float r;
  asm("fma.rn.sat.f32 %0, %1, %2, %3;" : "=f"(r) : "f"(a), "f"(b), "f"(c));
  return r;
}

// The smaller number; NaN if x is NaN, which ::fminf() would drop.
__device__ __forceinline__ float minimum_or_nan(float x, float bound) {
#if __CUDA_ARCH__ >= 800
  float r;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(x), "f"(bound));
  return r;
#else
  return x > bound ? bound : x;
#endif
}

// Convert two halves, packed in 32 bits, to float. In PTX, since __uint_as_float() would move each to another kind of
// register.
__device__ __forceinline__ float2 unpack_bfloat16(unsigned pair) {
  float2 both;
  asm("shl.b32 %0, %2, 16; and.b32 %1, %2, 0xffff0000;" : "=f"(both.x), "=f"(both.y) : "r"(pair));
  return both;
}
__device__ __forceinline__ float2 unpack_float16(unsigned pair) {
  float2 both;
  asm("{.reg .b16 low, high; mov.b32 {low, high}, %2; cvt.f32.f16 %0, low; cvt.f32.f16 %1, high;}"
      : "=f"(both.x), "=f"(both.y)
      : "r"(pair));
  return both;
}

// Hides from the compiler how an index changes from one iteration of a loop to the next. Otherwise, from sm_100 on, the
// compiler keeps a running address for every load in the loop, in some 60 registers.
__device__ __forceinline__ int64_t opaque(int64_t i) {
  asm("" : "+l"(i));
  return i;
}

// Call this in a branch that is rarely taken. Otherwise the compiler always executes the branch's body and selects the
// result.
__device__ __forceinline__ void keep_branch() { asm volatile(""); }

// Loads through the cache of what no thread writes.
template <class T>
__device__ __forceinline__ T load_constant(const T* p) {
  return __ldg(p);
}

// ---- a warp --------------------------------------------------------------------------------------------------------

inline constexpr int warp = 32;  // threads

__device__ __forceinline__ unsigned lane() { return threadIdx.x % warp; }
__device__ __forceinline__ unsigned warp_of_block() { return threadIdx.x / warp; }

// The x of the lane that is `distance` further on, or whose number differs in that bit. All lanes must call it.
template <class T>
__device__ __forceinline__ T from_lane_after(T x, int distance) {
  return __shfl_down_sync(0xffffffffu, x, distance);
}
template <class T>
__device__ __forceinline__ T from_lane_across(T x, int distance) {
  return __shfl_xor_sync(0xffffffffu, x, distance);
}

}  // namespace iouloss::nvidia
#endif
