// Counts what is kept, in one launch. A mean is divided by that count.
#include "memory.cuh"
#include "reduce.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <bool weighted, class T>
__global__ void __launch_bounds__(threads) kept_weight(const KeptArguments a, const Delivery to, const T each) {
  T sum = 0;
#pragma unroll 1  // else the compiler finds the number of iterations by a division
  for (int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x; i < a.n; i += int64_t(gridDim.x) * threads) {
    if (!weighted && !a.class_index) {  // dense targets, which have no class weights
      const T target = is_integer(a.targets.dtype) ? load_integer<T>(a.targets, i) : load<T>(a.targets, i);
      if (target != T(a.ignore_index)) sum += T(1);
      continue;
    }
    const int64_t index = a.class_index[i];
    if (is_kept(a, index)) sum += weighted ? load<T>(a.class_weight, index) : T(1);
  }
  deliver_sum(sum, to, Scale<T>{nullptr, each});
}

template <class T>
static void launch(const KeptArguments& a, const Delivery& to, double each, cudaStream_t stream) {
  const int64_t blocks = grid_for<T>(a.n, Registers::item, true);
  reset_counter(to, blocks, stream);
  const auto kernel = a.class_weight.data ? kept_weight<true, T> : kept_weight<false, T>;
  kernel<<<unsigned(blocks), threads, 0, stream>>>(a, to, T(each));
}

}  // namespace IOULOSS_ARCH

int64_t scratch_bytes(const KeptArguments& a) { return scratch_bytes_for(a.n, Registers::item, a.float64); }

void launch_kept_weight(const KeptArguments& a, const Delivery& to, double each, cudaStream_t stream) {
  a.float64 ? launch<double>(a, to, each, stream) : launch<float>(a, to, each, stream);
}

}  // namespace iouloss
