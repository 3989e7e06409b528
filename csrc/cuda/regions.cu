// The launches of the shape "regions", and the kernel between the sums and the gradient.
#include "regions.cuh"
#include "regions_competing.cuh"
#include "regions_separate.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// Adds up the partial sums of a region's cells, one warp per cell.
template <class T>
__device__ __forceinline__ void fold_cells(const RegionLaunch<T>& l, const RegionCells& own) {
#pragma unroll 1
  for (int64_t k = nvidia::warp_of_block(); k < own.count; k += threads / nvidia::warp) {
    const int64_t cell = own.first + k * own.step;
    RegionSums sums;
#pragma unroll 8  // a softmax leaves thousands of partial sums: eight loads are in flight at a time
    for (int64_t chunk = nvidia::lane(); chunk < l.chunks; chunk += nvidia::warp) {
      const RegionTotals<T> part = l.partial[cell * l.chunks + chunk];
      add(sums, {part.overlap, part.extra, part.missed});
    }
    sums = {warp_sum(sums.overlap), warp_sum(sums.extra), warp_sum(sums.missed)};
    if (nvidia::lane() == 0) l.sums[cell] = sums;
  }
  __syncthreads();
}

__device__ __forceinline__ double block_largest(double x) {
  __shared__ double of_thread[threads];
  of_thread[threadIdx.x] = x;
  for (int half = threads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) of_thread[threadIdx.x] = maximum(of_thread[threadIdx.x], of_thread[threadIdx.x + half]);
  }
  __syncthreads();
  const double largest = of_thread[0];
  __syncthreads();
  return largest;
}

// Computes a factor for each class. It multiplies the sums of the cells of that class before they are added to the sums
// of the region. The factors are stored in l.weights from own.first on.
template <bool generalized, class T>
__device__ __forceinline__ void weigh_classes(const RegionLaunch<T>& l, const RegionCells& own) {
  double* const weights = l.weights + own.first;
  double largest = 0;
#pragma unroll 1
  for (int64_t c = threadIdx.x; c < l.a.classes; c += threads) {
    weights[c] = 1;
    if (!generalized) continue;
    double target = 0;
#pragma unroll 1
    for (int64_t k = c; k < own.count; k += l.a.classes)
      target += l.sums[own.first + k].overlap + l.sums[own.first + k].missed;
    weights[c] = inverse_square(target);
    const bool is_out = l.a.class_weight.data && load<double>(l.a.class_weight, c) == 0;
    if (!is_out) largest = maximum(largest, weights[c]);
  }
  if (generalized) largest = block_largest(largest);
#pragma unroll 1
  for (int64_t c = threadIdx.x; c < l.a.classes; c += threads) {  // each thread reads only the weights that it wrote
    if (generalized && weights[c] == 0) weights[c] = largest;
    if (l.a.class_weight.data) weights[c] *= load<double>(l.a.class_weight, c);
  }
  __syncthreads();
}

// Computes the losses of the regions and the slopes of their cells, from the partial sums. A block handles one region
// at a time.
template <bool generalized, class T>
__global__ void __launch_bounds__(threads, 4)
    region_values(const RegionLaunch<T> l, const Delivery to, const Scale<T> scale) {
  const RegionRule rule(l.a);
  const bool several_classes = generalized || l.a.per >= RegionPer::image;
  __shared__ RegionLoss slopes;
  T total = 0;
#pragma unroll 1
  for (int64_t region = blockIdx.x; region < l.a.regions(); region += gridDim.x) {
    const RegionCells own = cells_of(l.a, region);
    const auto weight_of = [&](int64_t k) { return several_classes ? l.weights[own.first + k % l.a.classes] : 1.0; };
    fold_cells(l, own);
    if (several_classes) weigh_classes<generalized>(l, own);
    RegionSums sums;
#pragma unroll 1
    for (int64_t k = threadIdx.x; k < own.count; k += threads)
      add(sums, l.sums[own.first + k * own.step], weight_of(k));
    sums = {block_sum(sums.overlap), block_sum(sums.extra), block_sum(sums.missed)};
    if (threadIdx.x == 0) {
      slopes = evaluate(sums, rule);
      double factor = 1;
      if (l.a.class_weight.data && !several_classes) factor = load<double>(l.a.class_weight, region % l.a.classes);
      if (l.a.weight.data) factor *= load<double>(l.a.weight, region);
      const T value = T(slopes.value * factor);
      total += value;
      if (!to.reduced) static_cast<T*>(to.out)[region] = value;
      if (l.slopes) factor *= double(load_scale(scale));
      slopes.of_error *= factor;
      slopes.of_target *= factor;
    }
    __syncthreads();
#pragma unroll 1
    for (int64_t k = threadIdx.x; l.slopes && k < own.count; k += threads)
      l.slopes[own.first + k * own.step] = {T(slopes.of_error * weight_of(k)), T(slopes.of_target * weight_of(k))};
    __syncthreads();
  }
  if (to.reduced) deliver_sum(total, to, scale);
}

// ---- launches ----------------------------------------------------------------------------------------------------

static bool softmax(const RegionArguments& a) { return a.activation == Activation::softmax; }

static int64_t chunks_of(const RegionArguments& a) {
  const int64_t pixels = softmax(a) ? pixels_of_warp : pixels_of_block;
  return (a.pixels + pixels - 1) / pixels;
}

// How many blocks the kernels that go through pixels get, and how many the kernel that goes through regions.
static int64_t blocks_on_pixels(const RegionArguments& a) {
  if (a.cells() == 0) return 0;
  constexpr int64_t warps = threads / nvidia::warp, most = int64_t(1) << 30;
  const int64_t blocks = softmax(a) ? (a.images * chunks_of(a) + warps - 1) / warps : a.cells() * chunks_of(a);
  return blocks < most ? blocks : most;
}

static int64_t blocks_on_regions(const RegionArguments& a) {
  return bounded_blocks_for(a.regions() * threads, Registers::item, a.float64);
}

// Offsets in the scratch memory. The partial sums of deliver_sum() come first.
struct Layout {
  int64_t sums, weights, partial, end;

  Layout(const RegionArguments& a) {
    const int64_t number = a.float64 ? 8 : 4;
    sums = (counter_bytes + blocks_on_regions(a) * 8 + 15) / 16 * 16;
    weights = sums + a.cells() * sizeof(RegionSums);
    partial = weights + (a.images ? a.cells() : a.classes) * 8;
    end = partial + 3 * a.cells() * chunks_of(a) * number;
  }
};

template <class T>
static RegionLaunch<T> launch_of(const RegionArguments& a, void* slopes, void* scratch) {
  const auto vectors = [&](const Values& v) { return is_vectorizable(v.data, v.dtype, a.pixels); };
  const bool pairs = a.class_index.dtype == Dtype::int64 && reinterpret_cast<uintptr_t>(a.class_index.data) % 16 == 0 &&
                     a.pixels % 2 == 0;
  const bool plain = !a.class_index && !is_integer(a.targets.dtype);
  const Layout layout(a);
  char* const base = static_cast<char*>(scratch);
  return {a,
          vectors(a.logits) && (!plain || vectors(a.targets)),
          pairs,
          plain,
          chunks_of(a),
          {a.classes, a.cells() * chunks_of(a)},
          {chunks_of(a), a.images * chunks_of(a)},
          static_cast<Slopes<T>*>(slopes),
          reinterpret_cast<RegionTotals<T>*>(base + layout.partial),
          reinterpret_cast<RegionSums*>(base + layout.sums),
          reinterpret_cast<double*>(base + layout.weights)};
}

template <class Terms, class T>
static void launch(const RegionArguments& a, const Delivery& to, const DeviceScale& scale, void* slopes,
                   cudaStream_t stream) {
  const RegionLaunch<T> l = launch_of<T>(a, slopes, to.scratch);
  const unsigned on_pixels = unsigned(blocks_on_pixels(a)), on_regions = unsigned(blocks_on_regions(a));
  const auto sums = softmax(a) ? softmax_region_sums<Terms, T> : region_sums<Terms, T>;
  const auto values = a.generalized ? region_values<true, T> : region_values<false, T>;
  if (on_pixels) sums<<<on_pixels, threads, 0, stream>>>(l);
  reset_counter(to, on_regions, stream);
  values<<<on_regions, threads, 0, stream>>>(l, to, scale_of<T>(scale));
}

template <class Terms, class T>
static void launch(const RegionArguments& a, void* slopes, const Gradient& grad, cudaStream_t stream) {
  const unsigned on_pixels = unsigned(blocks_on_pixels(a));
  const auto gradient = softmax(a) ? softmax_region_gradient<Terms, T> : region_gradient<Terms, T>;
  if (on_pixels) gradient<<<on_pixels, threads, 0, stream>>>(launch_of<T>(a, slopes, nullptr), grad);
}

template <class F>
static void with_types(const RegionArguments& a, F f) {
  if (a.float64)
    a.squares ? f(SquareTerms(), double()) : f(LinearTerms(), double());
  else
    a.squares ? f(SquareTerms(), float()) : f(LinearTerms(), float());
}

}  // namespace IOULOSS_ARCH

int64_t scratch_bytes(const RegionArguments& a) { return Layout(a).end; }

void launch_region_loss(const RegionArguments& a, const Delivery& to, const DeviceScale& scale, void* slopes,
                        cudaStream_t stream) {
  with_types(a, [&]<class Terms, class T>(Terms, T) { launch<Terms, T>(a, to, scale, slopes, stream); });
}

void launch_region_gradient(const RegionArguments& a, void* slopes, const Gradient& grad, cudaStream_t stream) {
  with_types(a, [&]<class Terms, class T>(Terms, T) { launch<Terms, T>(a, slopes, grad, stream); });
}

}  // namespace iouloss
