// A fused elementwise loss with a deterministic sum over all blocks: the kind of kernel the device has to run well.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace {

template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T value[N];
};

__device__ float as_number(float x) { return x; }
__device__ double as_number(double x) { return x; }
__device__ float as_number(__half x) { return __half2float(x); }
__device__ float as_number(__nv_bfloat16 x) { return __bfloat162float(x); }

template <class V>
__device__ V focal(V x, V target) {
  V p = 1 / (1 + exp(-x));
  V entropy = fmax(x, V(0)) - x * target + log1p(exp(-fabs(x)));
  V miss = p * (1 - target) + (1 - p) * target;
  return entropy * miss * miss;
}

template <class V>
__device__ V box_distance(const V* a, const V* b) {
  V width = fmin(a[2], b[2]) - fmax(a[0], b[0]), height = fmin(a[3], b[3]) - fmax(a[1], b[1]);
  V overlap = fmax(width, V(0)) * fmax(height, V(0));
  V area_a = (a[2] - a[0]) * (a[3] - a[1]), area_b = (b[2] - b[0]) * (b[3] - b[1]);
  V iou = overlap / (area_a + area_b - overlap + V(1e-7));
  V angle = atan((a[2] - a[0]) / (a[3] - a[1])) - atan((b[2] - b[0]) / (b[3] - b[1]));
  return 1 - iou + angle * angle;
}

template <class V>
__device__ V block_sum(V value) {
  __shared__ V warps[32];
  for (int step = 16; step; step /= 2) value += __shfl_down_sync(0xffffffffu, value, step);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  value = threadIdx.x < blockDim.x / 32 ? warps[threadIdx.x] : V(0);
  if (threadIdx.x < 32)
    for (int step = 16; step; step /= 2) value += __shfl_down_sync(0xffffffffu, value, step);
  return value;
}

// The last block to arrive adds the partial sums in their order.
template <class V>
__device__ void fold(V mine, V* partials, unsigned* arrived, V* out) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    partials[blockIdx.x] = mine;
    __threadfence();
    last = atomicAdd(arrived, 1u) == gridDim.x - 1;
    __threadfence();
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  V sum = 0;
  for (unsigned i = threadIdx.x; i < gridDim.x; i += blockDim.x) sum += partials[i];
  __syncthreads();  // block_sum uses its shared memory again
  sum = block_sum(sum);
  if (threadIdx.x == 0) *out = sum;
}

template <class T, class V>
__device__ void focal_sum(const T* logits, const T* targets, V* partials, unsigned* arrived, V* out, int n) {
  constexpr int N = 16 / sizeof(T);
  V sum = 0;
  int packs = n / N, step = gridDim.x * blockDim.x, first = blockIdx.x * blockDim.x + threadIdx.x;
  for (int i = first; i < packs; i += step) {
    auto x = reinterpret_cast<const Pack<T, N>*>(logits)[i], t = reinterpret_cast<const Pack<T, N>*>(targets)[i];
#pragma unroll
    for (int k = 0; k < N; k++) sum += focal<V>(as_number(x.value[k]), as_number(t.value[k]));
  }
  for (int i = packs * N + first; i < n; i += step) sum += focal<V>(as_number(logits[i]), as_number(targets[i]));
  fold(block_sum(sum), partials, arrived, out);
}

template <class V>
__device__ void box_sum(const V* a, const V* b, V* partials, unsigned* arrived, V* out, int n) {
  V sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    auto x = reinterpret_cast<const Pack<V, 4>*>(a)[i], y = reinterpret_cast<const Pack<V, 4>*>(b)[i];
    sum += box_distance(x.value, y.value);
  }
  fold(block_sum(sum), partials, arrived, out);
}

}  // namespace

#define FOCAL(name, T, V)                                                                                             \
  extern "C" __global__ void name(const T* logits, const T* targets, V* partials, unsigned* arrived, V* out, int n) { \
    focal_sum<T, V>(logits, targets, partials, arrived, out, n);                                                      \
  }
FOCAL(focal_float, float, float)
FOCAL(focal_double, double, double)
FOCAL(focal_half, __half, float)
FOCAL(focal_bfloat16, __nv_bfloat16, float)

#define BOXES(name, V)                                                                                     \
  extern "C" __global__ void name(const V* a, const V* b, V* partials, unsigned* arrived, V* out, int n) { \
    box_sum<V>(a, b, partials, arrived, out, n);                                                           \
  }
BOXES(boxes_float, float)
BOXES(boxes_double, double)
