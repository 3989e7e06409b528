// The sum over a whole launch, within that launch, in an order that depends only on its size. Each block leaves one
// partial sum, and the block that finishes last adds them up. Atomics count blocks, but never touch a value.
#pragma once

#include "kernels.h"
#include "policy.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// The counter of finished blocks, which precedes the partial sums in the scratch memory.
inline constexpr int64_t counter_bytes = 8;

// The sum over a warp, in its first lane. Every thread of the warp must call it.
template <class T>
__device__ __forceinline__ T warp_sum(T x) {
  for (int distance = nvidia::warp / 2; distance > 0; distance /= 2) x += nvidia::from_lane_after(x, distance);
  return x;
}

// The sum over a block, in thread 0. Every thread of the block must call it.
template <class T>
__device__ __forceinline__ T block_sum(T x) {
  __shared__ T of_warp[threads / nvidia::warp];
  x = warp_sum(x);
  __syncthreads();  // of_warp may still be read from the sum before
  if (nvidia::lane() == 0) of_warp[nvidia::warp_of_block()] = x;
  __syncthreads();
  if (threadIdx.x >= nvidia::warp) return x;
  x = threadIdx.x < threads / nvidia::warp ? of_warp[threadIdx.x] : T(0);
  for (int distance = threads / nvidia::warp / 2; distance > 0; distance /= 2)
    x += nvidia::from_lane_after(x, distance);
  return x;
}

// A DeviceScale in the number type of the computation. The host converts it, not every thread.
template <class T>
struct Scale {
  const T* divisor;
  T number;
};

template <class T>
__host__ __device__ __forceinline__ Scale<T> scale_of(const DeviceScale& scale) {
  return {static_cast<const T*>(scale.divisor), T(scale.number)};
}

template <class T>
__device__ __forceinline__ T load_scale(const Scale<T>& scale) {
  if (scale.divisor == nullptr) [[likely]]
    return scale.number;
  const T divisor = *scale.divisor;
  return absolute(divisor) < T(0x1p-126) ? T(0) : reciprocal(divisor);  // as scale_of(divisor) on the host
}

// Delivers the sum over all threads of the launch, times the scale. Every thread of the launch must call it.
template <class T>
__device__ __forceinline__ void deliver_sum(T sum, const Delivery& to, const Scale<T>& scale) {
  __shared__ bool is_last;
  unsigned* finished = static_cast<unsigned*>(to.scratch);
  T* partials = reinterpret_cast<T*>(static_cast<char*>(to.scratch) + counter_bytes);
  sum = block_sum(sum);
  if (gridDim.x == 1) {
    if (threadIdx.x == 0) *static_cast<T*>(to.out) = sum * load_scale(scale);
    return;
  }
  if (threadIdx.x == 0) {
    partials[blockIdx.x] = sum;
    __threadfence();  // the partial sum is visible before the block counts as finished
    is_last = atomicAdd(finished, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!is_last) return;
  __threadfence();
  double total = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += threads) total += double(__ldcg(partials + i));
  total = block_sum(total);
  if (threadIdx.x == 0) *static_cast<T*>(to.out) = T(total * double(load_scale(scale)));
}

// The number of blocks for one thread per item.
inline int64_t blocks_for(int64_t items) {
  const int64_t blocks = (items + threads - 1) / threads;
  return blocks > 0 ? blocks : 1;
}

// As blocks_for(), but at most bounded() blocks per multiprocessor. Two kinds of launches need few blocks: those that
// deliver a sum, because each block leaves a partial sum; and those that get a saved gradient, because they often find
// that there is nothing to do.
inline int64_t bounded_blocks_for(int64_t items, Registers need, bool float64) {
  int device = 0, multiprocessors = 0, major = 0, minor = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  const int64_t most = int64_t(multiprocessors) * bounded(need, float64, policy_of(10 * major + minor));
  const int64_t blocks = blocks_for(items);
  return blocks < most ? blocks : most;
}

template <class T>
int64_t grid_for(int64_t items, Registers need, bool is_bounded) {
  return is_bounded ? bounded_blocks_for(items, need, sizeof(T) == 8) : blocks_for(items);
}

inline int64_t scratch_bytes_for(int64_t items, Registers need, bool float64) {
  const int64_t blocks = bounded_blocks_for(items, need, float64);
  return blocks == 1 ? 0 : counter_bytes + blocks * (float64 ? 8 : 4);
}

inline void reset_counter(const Delivery& to, int64_t blocks, cudaStream_t stream) {
  if (to.reduced && blocks > 1) cudaMemsetAsync(to.scratch, 0, counter_bytes, stream);
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
