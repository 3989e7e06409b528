// The shape "logits" on the GPU: a thread four consecutive logits, loaded as one vector where the pointers allow it.

#include "../core/logit_formulas.h"
#include "memory.cuh"
#include "reduce.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

constexpr int per_thread = 4;

struct FocalLaunch {
  FocalArguments a;
  bool vectors;                // logits and dense targets can be loaded four at a time
  unsigned long long inverse;  // 2^64 / classes rounded up, or 0 where that is no help
};

// Up to four logits of one thread, from index first on.
template <class T>
struct Quad {
  int64_t first;
  int count;             // those that exist
  unsigned ignored = 0;  // a bit for each
  T logits[per_thread], targets[per_thread];
  T alpha1[per_thread], alpha0[per_thread];  // of the targets 1 and 0, times the weight

  __device__ __forceinline__ Quad(const FocalLaunch& l, int64_t first_) : first(first_) {
    const FocalArguments& a = l.a;
    count = a.n - first < per_thread ? int(a.n - first) : per_thread;
    load_values(l, a.logits, logits);
    if (a.targets.data) load_values(l, a.targets, targets);
#pragma unroll
    for (int k = 0; k < per_thread; ++k) {
      alpha1[k] = T(a.alpha1);
      alpha0[k] = T(a.alpha0);
    }
    if (a.class_index || a.weight.data || a.alpha_per_class.data) load_what_varies(l);
  }

  __device__ __forceinline__ void load_values(const FocalLaunch& l, const Values& values, T (&out)[per_thread]) const {
    if (l.vectors && count == per_thread) {
      const Row4<T> v = load4<T>(values.data, values.dtype, first);
      out[0] = v.c0, out[1] = v.c1, out[2] = v.c2, out[3] = v.c3;
    } else {
#pragma unroll
      for (int k = 0; k < per_thread; ++k) out[k] = k < count ? load<T>(values.data, values.dtype, first + k) : T(0);
    }
  }

  // What depends on the row or the column of a logit. An index outside [0, classes) is background; a row to ignore
  // gets logits and weights of 0, so that it counts for nothing whatever is in it.
  __device__ __forceinline__ void load_what_varies(const FocalLaunch& l) {
    const FocalArguments& a = l.a;
    int64_t row = l.inverse ? int64_t(__umul64hi(first, l.inverse)) : first / a.classes;
    int64_t column = first - row * a.classes;
    int64_t index = -1;
#pragma unroll  // an array indexed by a loop that stays a loop would live in local memory
    for (int k = 0; k < per_thread; ++k, ++column) {
      if (k >= count) break;
      if (column == a.classes) {
        column = 0;
        ++row;
      }
      if (a.alpha_per_class.data) {
        alpha1[k] = load<T>(a.alpha_per_class, column);
        alpha0[k] = T(1) - alpha1[k];
      }
      T weight = a.weight.data ? load<T>(a.weight, a.weight_per_row ? row : first + k) : T(1);
      if (a.class_index) {
        if (k == 0 || column == 0) index = a.class_index[row];
        targets[k] = column == index ? T(1) : T(0);
        if (index == a.ignore_index) {
          logits[k] = weight = T(0);
          ignored |= 1u << k;
        }
      }
      alpha1[k] *= weight;
      alpha0[k] *= weight;
    }
  }

  __device__ __forceinline__ FocalParameters<T> parameters(const FocalLaunch& l, int k) const {
    return {alpha1[k], alpha0[k], T(l.a.gamma)};
  }
};

template <class T>
__device__ __forceinline__ void store_some(const Output& out, int64_t first, int count, const T (&values)[per_thread]) {
#pragma unroll
  for (int k = 0; k < per_thread - 1; ++k)  // of all four there is a vector
    if (k < count) store(out, first + k, values[k]);
}

template <class Formula, class T>
__global__ void __launch_bounds__(threads, resident_blocks<T>) focal_forward(const FocalLaunch l, const Delivery to) {
  T sum = 0;
  const int64_t step = int64_t(gridDim.x) * threads * per_thread;
  for (int64_t i = (int64_t(blockIdx.x) * threads + threadIdx.x) * per_thread; i < l.a.n; i += step) {
    const Quad<T> quad(l, opaque(i));
    T loss[per_thread];
#pragma unroll
    for (int k = 0; k < per_thread; ++k) {
      loss[k] = Formula::value(quad.logits[k], quad.targets[k], quad.parameters(l, k));
      if (to.reduced && k < quad.count) sum += loss[k];
    }
    if (to.reduced) continue;
    const Output out{to.out, sizeof(T) == 8 ? Dtype::float64 : Dtype::float32};
    if (quad.count == per_thread)
      store4<T>(out, i, {loss[0], loss[1], loss[2], loss[3]});
    else
      store_some(out, i, quad.count, loss);
  }
  if (to.reduced) deliver_sum(sum, to);
}

template <class Formula, class T>
__global__ void __launch_bounds__(threads, resident_blocks<T>)
    focal_backward(const FocalLaunch l, const Values upstream, const DeviceScale scale, const Output grad) {
  const int64_t i = (int64_t(blockIdx.x) * threads + threadIdx.x) * per_thread;
  if (i >= l.a.n) return;
  const Quad<T> quad(l, i);
  const T common = load_scale<T>(scale);
  T g[per_thread];
#pragma unroll
  for (int k = 0; k < per_thread; ++k) {
    const bool counts = k < quad.count && !(quad.ignored >> k & 1);
    const T factor = counts ? common * load<T>(upstream, i + k) : T(0);
    g[k] = factor * Formula::gradient(quad.logits[k], quad.targets[k], quad.parameters(l, k));
  }
  if (quad.count == per_thread)
    store4<T>(grad, i, {g[0], g[1], g[2], g[3]});
  else
    store_some(grad, i, quad.count, g);
}

// ---- launches ----------------------------------------------------------------------------------------------------

static FocalLaunch launch_of(const FocalArguments& a) {
  const auto vectors = [](const Values& v) {
    return v.data == nullptr || is_vectorizable(v.data, v.dtype, per_thread);
  };
  // The quotient by the rounded inverse is exact while n * classes stays below 2^64; 1 class needs no division.
  const bool exact = a.classes > 1 && uint64_t(a.n) < ~uint64_t(0) / uint64_t(a.classes);
  return {a, vectors(a.logits) && vectors(a.targets), exact ? ~0ull / uint64_t(a.classes) + 1 : 0};
}

static int64_t quads(int64_t n) { return (n + per_thread - 1) / per_thread; }

template <class Formula, class T>
static void launch(const FocalArguments& a, const Delivery& to, cudaStream_t stream) {
  const int64_t blocks = forward_blocks(quads(a.n), to.reduced);
  reset_counter(to, blocks, stream);
  focal_forward<Formula, T><<<unsigned(blocks), threads, 0, stream>>>(launch_of(a), to);
}

template <class Formula, class T>
static void launch(const FocalArguments& a, const Values& upstream, const DeviceScale& scale, const Output& grad,
                   cudaStream_t stream) {
  const auto blocks = unsigned(blocks_for(quads(a.n)));
  focal_backward<Formula, T><<<blocks, threads, 0, stream>>>(launch_of(a), upstream, scale, grad);
}

// Calls f with the formula and the number type of a call.
template <class F>
static void with_kernel(const FocalArguments& a, F f) {
  if (a.float64)
    a.gamma == 2 ? f.template operator()<SigmoidFocal<true>, double>()
                 : f.template operator()<SigmoidFocal<false>, double>();
  else
    a.gamma == 2 ? f.template operator()<SigmoidFocal<true>, float>()
                 : f.template operator()<SigmoidFocal<false>, float>();
}

}  // namespace IOULOSS_ARCH

int64_t forward_scratch_bytes(const FocalArguments& a) { return scratch_bytes(quads(a.n), a.float64); }

void launch_forward(const FocalArguments& a, const Delivery& to, cudaStream_t stream) {
  with_kernel(a, [&]<class Formula, class T>() { launch<Formula, T>(a, to, stream); });
}

void launch_backward(const FocalArguments& a, const Values& upstream, const DeviceScale& scale, const Output& grad,
                     cudaStream_t stream) {
  if (a.n == 0) return;
  with_kernel(a, [&]<class Formula, class T>() { launch<Formula, T>(a, upstream, scale, grad, stream); });
}

}  // namespace iouloss
