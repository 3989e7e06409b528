// The shape "rows of logits" on the GPU: a group of threads per row. If a row is contiguous, a few threads share it, or
// a whole block if it is long. If its classes lie far apart, one thread has the whole row, and its neighbours in the
// warp have the neighbouring rows, so that they read consecutive addresses. A thread takes twelve classes at a time
// into registers, in vectors of four where the pointers allow it. From there it finds their largest logit, and then
// adds to the sums. So a row of any length is read once for its loss, and once more for its gradient.

#include "../core/row_formulas.h"
#include "divide.cuh"
#include "memory.cuh"
#include "reduce.cuh"
#include "rescale.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T>
struct RowLaunch {
  RowArguments a;
  RowParameters<T> parameters;  // converted on the host, since many GPUs have few float64 units
  T share;                      // see share_of_smoothing()
  int width, width_bits;        // threads per row: a power of 2 up to 32, or all of a block; and its logarithm
  IndexDivision by_inner;
  bool vectors;  // four classes can be loaded at a time, and four gradients stored
  bool halves;   // and the logits are halves

  __device__ __forceinline__ int thread_of_row() const { return threadIdx.x & (width - 1); }
};

// Vectors of four logits that a thread holds in registers: enough to keep the loads of a row in flight.
inline constexpr int quads = 3;

template <class Formula>
inline constexpr Registers registers_of = Formula::by_two ? Registers::more : Registers::several;

// Folds the values of a row's threads into one, in an order that depends only on the width. Every thread of the block
// must call it.
template <class T, class Fold>
__device__ __forceinline__ T fold_row(T x, int width, Fold fold) {
  __shared__ T of_warp[threads / nvidia::warp];
  for (int distance = 1; distance < width && distance < nvidia::warp; distance *= 2)
    x = fold(x, nvidia::from_lane_across(x, distance));
  if (width <= nvidia::warp) return x;
  __syncthreads();  // of_warp may still be read from the fold before
  if (nvidia::lane() == 0) of_warp[nvidia::warp_of_block()] = x;
  __syncthreads();
  x = of_warp[0];
  for (int warp = 1; warp < threads / nvidia::warp; ++warp) x = fold(x, of_warp[warp]);
  return x;
}

// A row, as one of its threads sees it.
template <class Formula, class T>
struct Row {
  const RowLaunch<T>& l;
  int64_t row;
  int64_t logits, targets;          // where the row begins in these tensors
  int64_t target = -1, other = -1;  // classes; -1 where there is none
  bool exists, counts;
  T far_share = 0;

  __device__ __forceinline__ Row(const RowLaunch<T>& l_, int64_t row_) : l(l_), row(row_) {
    const RowArguments& a = l.a;
    exists = row < a.n;
    counts = exists;
    if (!exists) row = 0;  // computed like the others, because all threads of a warp take part in the sums
    logits = place_of(a.logits);
    targets = place_of(a.targets);
    if constexpr (Formula::by_two) {
      const Bins<T> bins(load<T>(a.places, row), a.classes);
      target = bins.near;
      other = bins.far;
      far_share = bins.far_share;
    } else if constexpr (Formula::by_class) {
      const int64_t index = a.class_index[row];
      counts = exists && index >= 0 && index < a.classes && index != a.ignore_index;
      target = counts ? index : 0;
    }
  }

  __device__ __forceinline__ int64_t place_of(const ClassRows& of) const {
    if (l.a.inner == 1) return row * of.outer_stride;
    const int64_t outer = l.by_inner.quotient(row);  // the outer index; the remainder is the inner one
    return outer * of.outer_stride + (row - outer * l.a.inner) * of.inner_stride;
  }

  // Calls f(first class, count) for each quad of this thread.
  template <class F>
  __device__ __forceinline__ void each_quad(F f) const {
    const int64_t classes = l.a.classes;
    for (int64_t c = l.thread_of_row() * per_thread; c < classes; c += l.width * per_thread)
      f(c, classes - c < per_thread ? int(classes - c) : per_thread);
  }

  __device__ __forceinline__ void load_quad(const ClassRows& from, int64_t at, int64_t c, int count,
                                            T (&x)[per_thread]) const {
    load_values(from.data, from.dtype, at, from.class_stride, c, count, l.vectors, x);
  }

  __device__ __forceinline__ T logit(int64_t c) const {
    return load<T>(l.a.logits.data, l.a.logits.dtype, logits + c * l.a.logits.class_stride);
  }

  __device__ __forceinline__ T weight_of(int64_t c) const {
    return l.a.class_weight.data ? load<T>(l.a.class_weight, c) : T(1);
  }

  // Loads the `extra` of four classes: see core/row_formulas.h.
  __device__ __forceinline__ void load_extra(int64_t c, int count, T (&extra)[per_thread]) const {
    if constexpr (Formula::dense) {
      load_quad(l.a.targets, targets, c, count, extra);
    } else if constexpr (Formula::by_class_weight) {
#pragma unroll
      for (int k = 0; k < per_thread; ++k) extra[k] = k < count ? l.share * weight_of(c + k) : T(0);
    }
  }

  // Loads the logits of the quads that `each` goes through.
  template <class Each>
  __device__ __forceinline__ void load_classes(const Each& each) const {
    const ClassRows& from = l.a.logits;
    if (sizeof(T) == 4 && l.halves) {
      uint2 halves[quads];
      each([&](T(&)[per_thread], int q, int64_t c, int count) {
        if (count > 0) halves[q] = load_halves(from.data, logits + c);
      });
      each([&](T(&x)[per_thread], int q, int64_t, int) { widen(halves[q], from.dtype, x); });
      return;
    }
    each([&](T(&x)[per_thread], int, int64_t c, int count) {
      if (count <= 0) return;
      if (sizeof(T) == 4 && l.vectors) {  // vectors that are not halves are float32
        spread(load4<T>(from.data, Dtype::float32, logits + c), x);
      } else {
        load_values(from.data, from.dtype, logits, from.class_stride, c, count, sizeof(T) == 8 && l.vectors, x);
      }
    });
  }

  // Adds this thread's part of the classes from `from` on to its sums. `largest` is the largest logit so far of the
  // whole row, without that of the target class. It is the same in all threads of the row.
  __device__ __forceinline__ void add_classes(int64_t from, T& largest, T (&sum)[Formula::sums]) const {
    T x[quads][per_thread], most = largest;
    const auto each = [&](auto f) {
#pragma unroll
      for (int q = 0; q < quads; ++q) {
        const int64_t c = from + (q * l.width + l.thread_of_row()) * per_thread;
        f(x[q], q, c, int(l.a.classes - c < per_thread ? l.a.classes - c : per_thread));
      }
    };
    load_classes(each);
    each([&](const T(&of_quad)[per_thread], int, int64_t c, int count) {
      if (count <= 0) return;
#pragma unroll
      for (int k = 0; k < per_thread; ++k)
        if (k < count && c + k != target) most = of_quad[k] > most ? of_quad[k] : most;
    });
    most = Formula::origin(fold_row(most, l.width, [](T a, T b) { return a > b ? a : b; }));
    if (from > 0) {
      const T by = Formula::below(most, largest, l.parameters);
      Formula::raise(sum, by);
    }
    largest = most;
    each([&](const T(&of_quad)[per_thread], int, int64_t c, int count) {
      if (count <= 0) return;
      T extra[per_thread] = {};
      load_extra(c, count, extra);
#pragma unroll
      for (int k = 0; k < per_thread; ++k) {
        const T below = Formula::below(most, of_quad[k], l.parameters);
        if (k < count && c + k != target) Formula::add(sum, below, Formula::power(most, of_quad[k], below), extra[k]);
      }
    });
  }

  // Returns the loss, and what its gradient is computed from. Sets `largest` to the number from which the formula
  // measures.
  __device__ __forceinline__ RowResult<T> evaluate(T& largest) const {
    largest = T(-Limits<T>::largest);
    T sum[Formula::sums] = {};
#pragma unroll 1
    for (int64_t from = 0; from < l.a.classes; from += quads * l.width * per_thread) add_classes(from, largest, sum);
#pragma unroll
    for (T& x : sum) x = fold_row(x, l.width, [](T a, T b) { return a + b; });
    RowTarget<T> own{};
    if constexpr (Formula::by_class) {
      const T of_class = Formula::by_two ? T(1) : weight_of(target);
      own = {logit(target), T(l.a.options.alpha) * of_class, l.share * of_class, T(0), far_share};
      if constexpr (Formula::by_two) own.other_logit = logit(other);
    }
    return Formula::finish(own, largest, sum, l.parameters);
  }

  // Writes the gradient, times slope.
  __device__ __forceinline__ void write_gradient(const Output& out, T largest, const RowResult<T>& result,
                                                 T slope) const {
    const ClassRows to = gradient_rows(l.a);
    const int64_t begin = place_of(to);
    each_quad([&](int64_t c, int count) {
      T x[per_thread], extra[per_thread] = {}, g[per_thread];
      load_quad(l.a.logits, logits, c, count, x);
      load_extra(c, count, extra);
#pragma unroll
      for (int k = 0; k < per_thread; ++k) {
        const T below = Formula::below(largest, x[k], l.parameters);
        g[k] = Formula::gradient(below, Formula::power(largest, x[k], below), extra[k], result);
        if (c + k == target) g[k] = result.target;
        if (Formula::by_two && c + k == other) g[k] += result.other;
        g[k] = counts ? g[k] * slope : T(0);  // whatever is in the row, and upstream
      }
      store_values(out, begin, to.class_stride, c, count, l.vectors, g);
    });
  }

  __device__ __forceinline__ T factor() const { return l.a.weight.data ? load<T>(l.a.weight, row) : T(1); }

  __device__ __forceinline__ bool is_first_thread() const { return l.thread_of_row() == 0; }
};

// Calls f with each row of this thread. All threads of a block call f equally often, since they meet in fold_row().
template <class T, class F>
__device__ __forceinline__ void each_row(const RowLaunch<T>& l, F f) {
  const int rows = threads >> l.width_bits;
  for (int64_t first = int64_t(blockIdx.x) * rows; first < l.a.n; first += int64_t(gridDim.x) * rows)
    f(nvidia::opaque(first + (threadIdx.x >> l.width_bits)));
}

template <class Formula, class T>
__global__ void __launch_bounds__(threads, resident_blocks<registers_of<Formula>, T>)
    row_losses(const RowLaunch<T> l, const Delivery to, const Scale<T> scale) {
  T sum = 0;
  each_row(l, [&](int64_t i) {
    const Row<Formula, T> row(l, i);
    T largest;
    const T value = row.evaluate(largest).value;
    if (!row.exists || !row.is_first_thread()) return;
    const T loss = row.counts ? value * row.factor() : T(0);
    if (to.reduced)
      sum += loss;
    else
      static_cast<T*>(to.out)[row.row] = loss;
  });
  if (to.reduced) deliver_sum(sum, to, scale);
}

// Writes the gradient with respect to the logits and, if wanted, delivers the sum of the losses.
template <class Formula, class T>
__global__ void __launch_bounds__(threads, resident_blocks<registers_of<Formula>, T>)
    row_gradient(const RowLaunch<T> l, const Delivery to, const Scale<T> scale, const Gradient grad) {
  if (rescale<T>(grad, l.a.n * l.a.classes)) return;
  T sum = 0;
  const T common = load_scale(scale);
  each_row(l, [&](int64_t i) {
    const Row<Formula, T> row(l, i);
    T largest;
    const RowResult<T> result = row.evaluate(largest);
    if (!row.exists) return;
    T slope = row.factor();
    if (to.reduced && row.counts && row.is_first_thread()) sum += result.value * slope;
    slope *= common;
    if (grad.upstream.data) slope *= load<T>(grad.upstream, row.row);
    row.write_gradient(grad.out, largest, result, slope);
  });
  if (to.reduced) deliver_sum(sum, to, scale);
}

// ---- launches ----------------------------------------------------------------------------------------------------

// The base 2 logarithm of the number of threads per row. Up to a warp, a row gets as many threads as it takes for none
// to fill its registers more than twice. A row for which two warps would not be enough gets a whole block. Twice, not
// once, because every thread of a row repeats the work that is done once per row: see docs/gpu.md.
static int width_bits_of(const RowArguments& a) {
  if (a.inner > 1 || a.logits.class_stride != 1) return 0;
  constexpr int classes_of_thread = 2 * quads * per_thread;
  const int64_t wanted = (a.classes + classes_of_thread - 1) / classes_of_thread;
  int bits = 0;
  const int64_t threads_of_row = wanted > 2 * nvidia::warp ? threads : wanted < nvidia::warp ? wanted : nvidia::warp;
  while (1 << bits < threads_of_row) ++bits;
  return bits;
}

static bool is_vectorizable(const ClassRows& rows) {
  return rows.class_stride == 1 && is_vectorizable(rows.data, rows.dtype, rows.outer_stride);
}

template <class T>
static RowLaunch<T> launch_of(const RowArguments& a) {
  const bool vectors = a.inner == 1 && a.classes % per_thread == 0 && is_vectorizable(a.logits) &&
                       (a.formula != RowFormula::kl_div || is_vectorizable(a.targets));
  const int bits = width_bits_of(a);
  return {a,
          row_parameters<T>(a),
          share_of_smoothing<T>(a),
          1 << bits,
          bits,
          {a.inner, a.n},
          vectors,
          vectors && is_half(a.logits.dtype)};
}

template <class Formula, class T>
static void launch(const RowArguments& a, const Delivery& to, const DeviceScale& scale, cudaStream_t stream) {
  const auto l = launch_of<T>(a);
  const int64_t blocks = grid_for<T>(a.n * l.width, registers_of<Formula>, to.reduced);
  reset_counter(to, blocks, stream);
  row_losses<Formula, T><<<unsigned(blocks), threads, 0, stream>>>(l, to, scale_of<T>(scale));
}

template <class Formula, class T>
static void launch(const RowArguments& a, const Delivery& to, const DeviceScale& scale, const Gradient& grad,
                   cudaStream_t stream) {
  const auto l = launch_of<T>(a);
  const int64_t blocks = grid_for<T>(a.n * l.width, registers_of<Formula>, to.reduced || grad.saved);
  reset_counter(to, blocks, stream);
  row_gradient<Formula, T><<<unsigned(blocks), threads, 0, stream>>>(l, to, scale_of<T>(scale), grad);
}

}  // namespace IOULOSS_ARCH

int64_t scratch_bytes(const RowArguments& a) {
  return with_row_formula(a, [&]<class Formula>(Formula) {
    return scratch_bytes_for(a.n << width_bits_of(a), registers_of<Formula>, a.float64);
  });
}

void launch_losses(const RowArguments& a, const Delivery& to, const DeviceScale& scale, cudaStream_t stream) {
  with_row_formula(a, [&]<class Formula>(Formula) {
    a.float64 ? launch<Formula, double>(a, to, scale, stream) : launch<Formula, float>(a, to, scale, stream);
  });
}

void launch_gradient(const RowArguments& a, const Delivery& to, const DeviceScale& scale, const Gradient& grad,
                     cudaStream_t stream) {
  with_row_formula(a, [&]<class Formula>(Formula) {
    a.float64 ? launch<Formula, double>(a, to, scale, grad, stream)
              : launch<Formula, float>(a, to, scale, grad, stream);
  });
}

}  // namespace iouloss
