// What threads do together, and the shapes of launches. A thread writes out[its number].
#define KERNEL extern "C" __global__ void

__device__ int thread() {
  int block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  int in_block = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  return in_block + blockDim.x * blockDim.y * blockDim.z * block;
}

constexpr unsigned whole = 0xffffffffu;

KERNEL shuffle_up(int* out) { out[thread()] = __shfl_up_sync(whole, threadIdx.x, 3); }
KERNEL shuffle_down_of_8(int* out) { out[thread()] = __shfl_down_sync(whole, threadIdx.x, 3, 8); }
KERNEL shuffle_xor(int* out) { out[thread()] = __shfl_xor_sync(whole, threadIdx.x, 5); }
KERNEL shuffle_from_1_of_4(int* out) { out[thread()] = __shfl_sync(whole, threadIdx.x, 1, 4); }
KERNEL shuffle_of_a_double(int* out) { out[thread()] = int(__shfl_xor_sync(whole, threadIdx.x * 1e9, 1) / 1e9); }
KERNEL ballot(int* out) { out[thread()] = __ballot_sync(whole, threadIdx.x % 3 == 0); }
KERNEL any_and_all(int* out) {
  out[thread()] = __any_sync(whole, threadIdx.x == 40) + 2 * __all_sync(whole, threadIdx.x < 40);
}
KERNEL match(int* out) { out[thread()] = __match_any_sync(whole, threadIdx.x % 4); }
KERNEL reduce_in_warp(int* out) {
  out[thread()] = __reduce_add_sync(whole, threadIdx.x) - __reduce_min_sync(whole, threadIdx.x);
}
KERNEL active(int* out) {
  if (threadIdx.x % 2)
    out[thread()] = __activemask();
  else
    out[thread()] = 0;
}
KERNEL count_in_block(int* out) {
  out[thread()] = __syncthreads_count(threadIdx.x % 3 == 0) + 100 * __syncthreads_or(threadIdx.x == 50) +
                  1000 * __syncthreads_and(threadIdx.x < 50);
}

// Lanes that loop for different times meet again before they shuffle.
KERNEL diverge_and_meet(int* out) {
  int steps = 0;
  for (int i = threadIdx.x % 7; i > 0; i--) steps += i % 2 ? i : 1;
  out[thread()] = __shfl_xor_sync(whole, steps, 1);
}

// Each block's place in the order in which they ended, and a sum that depends on that order.
KERNEL order_of_blocks(unsigned* ended, unsigned* out, float* sum) {
  if (threadIdx.x == 0) {
    out[blockIdx.x] = atomicAdd(ended, 1u);
    atomicAdd(sum, 1.f / (blockIdx.x + 1));
  }
}

KERNEL shape(int* out) {
  extern __shared__ int shared[];
  int here = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  shared[here] = blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z;
  __syncthreads();
  int last = blockDim.x * blockDim.y * blockDim.z - 1;
  out[thread()] = shared[last - here] * 1000 + threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z;
}

KERNEL indexed_local_array(int* out) {
  int own[16];
  for (int i = 0; i < 16; i++) own[i] = i * i;
  out[thread()] = own[threadIdx.x % 16];
}

__constant__ int table[4] = {3, 1, 4, 1};
__device__ int offset = 5;
KERNEL variables(int* out) { out[thread()] = table[threadIdx.x % 4] + offset; }

struct Many {
  int number[8];
  double factor;
};
KERNEL struct_parameter(int* out, Many many) { out[thread()] = many.number[threadIdx.x % 8] * many.factor; }

KERNEL atomics(int* out) {  // out holds 0 0 0 100 -1 0 7 ...
  atomicAdd(out + 0, 1);
  atomicMax(out + 1, int(threadIdx.x));
  atomicOr(out + 2, 1 << threadIdx.x % 32);
  atomicMin(out + 3, int(threadIdx.x) + 5);
  atomicAnd(out + 4, ~(1 << threadIdx.x % 4));
  atomicInc(reinterpret_cast<unsigned*>(out + 5), 9);
  atomicCAS(out + 6, 7, 8);
  atomicAdd(reinterpret_cast<float*>(out + 7), 0.5f);
  __shared__ unsigned long long sum;
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  atomicAdd(&sum, threadIdx.x);
  __syncthreads();
  if (thread() == 0) out[8] = sum;
}
