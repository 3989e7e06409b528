// The shape "logits" on the GPU: each thread handles four consecutive logits, loaded as one vector where the pointers
// allow it.
#pragma once

#include "../core/logit_arguments.h"
#include "../core/logit_formulas.h"
#include "divide.cuh"
#include "memory.cuh"
#include "reduce.cuh"
#include "rescale.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T>
struct LogitLaunch {
  LogitArguments a;
  LogitParameters<T> parameters;  // converted on the host, since many GPUs have few float64 units
  bool vectors;                   // logits and dense targets can be loaded four at a time
  bool halves;                    // logits and dense targets are halves
  // Whether there is anything for which a logit's row or column matters, or that needs a look at each target: class
  // indices, weights, alpha per class, integer targets, or targets that may be ignored.
  bool varies;
  bool weighted;           // whether there are weights, alpha per class, or targets that may be ignored
  const int64_t* classes;  // the class indices if they are int64, as they mostly are; else null
  IndexDivision by_classes;
};

// Up to four logits of one thread, from index `first` on. If targets are class indices and the formula has a
// background, the logit of the row's class is negated: a logit x with target 1 has the same loss as -x with target 0.
// So all targets are 0, and the shorter formula for Background serves.
template <class Formula, class T>
struct Quad {
  static constexpr bool turns = Formula::has_background;
  int64_t first;
  int count;                                       // how many exist
  unsigned ignored = 0, turned = 0, infinite = 0;  // one bit per logit
  T logits[per_thread], targets[per_thread] = {};
  T alpha1[per_thread], alpha0[per_thread];  // for targets 1 and 0, times the weight

  __device__ __forceinline__ Quad(const LogitLaunch<T>& l, int64_t first_, unsigned careful) : first(first_) {
    const LogitArguments& a = l.a;
    count = a.n - first < per_thread ? int(a.n - first) : per_thread;
#pragma unroll
    for (int k = 0; k < per_thread; ++k) {
      alpha1[k] = l.parameters.alpha1;
      alpha0[k] = l.parameters.alpha0;
    }
    const bool vector = l.vectors && count == per_thread;
    if (!vector) [[unlikely]] {
#pragma unroll
      for (int k = 0; k < per_thread; ++k)
        if (k >= count) alpha1[k] = alpha0[k] = T(0);  // a logit that does not exist has no loss
    }
    if (!l.varies) {
      load_logits_and_targets(l, vector);
    } else {
      const int64_t row = l.by_classes.quotient(first);
      int64_t index = -1;  // loaded before the logits, so that all loads are in flight together
      if (Formula::has_classes && l.classes) [[likely]]
        index = l.classes[row];
      else if (Formula::has_classes && a.class_index)
        index = a.class_index[row];
      const bool integers = Formula::has_classes && is_integer(a.targets.dtype);
      load_logits_and_targets(l, vector, !integers);
      if (Formula::has_targets && integers) [[unlikely]]
        load_integers(a.targets);
      use_what_varies(l, row, index);
    }
    if (Formula::has_limits && careful) [[unlikely]]
      replace_infinite();
  }

  __device__ __forceinline__ void load_integers(const Values& from) {
#pragma unroll
    for (int k = 0; k < per_thread; ++k) targets[k] = k < count ? load_integer<T>(from, first + k) : T(0);
  }

  // Replaces infinite logits by the largest finite number. take_limits() then turns their losses into limits.
  __device__ __forceinline__ void replace_infinite() {
    nvidia::keep_branch();
#pragma unroll
    for (int k = 0; k < per_thread; ++k) {
      if (!is_infinite(logits[k])) continue;
      infinite |= 1u << k;
      logits[k] = copysign(T(Limits<T>::largest), logits[k]);
    }
  }

  __device__ __forceinline__ void load_logits_and_targets(const LogitLaunch<T>& l, bool vector, bool floats = true) {
    const LogitArguments& a = l.a;
    const bool dense = Formula::has_targets && a.targets.data && floats;
    if (sizeof(T) == 4 && dense && vector && l.halves) {
      const uint2 x = load_halves(a.logits.data, first), z = load_halves(a.targets.data, first);
      widen(x, a.logits.dtype, logits);
      widen(z, a.targets.dtype, targets);
      return;
    }
    load_values(a.logits.data, a.logits.dtype, 0, 1, first, count, vector, logits);
    if (dense) load_values(a.targets.data, a.targets.dtype, 0, 1, first, count, vector, targets);
  }

  // Applies what depends on the row or the column of a logit. In a row whose class index is outside [0, classes), all
  // logits are background. An ignored row gets logits and weights of 0, so that it counts for nothing even if it holds
  // NaN.
  __device__ __forceinline__ void use_what_varies(const LogitLaunch<T>& l, int64_t row, int64_t index) {
    const LogitArguments& a = l.a;
    int64_t column = first - row * a.classes;
    const bool per_class = Formula::has_classes && a.alpha_per_class.data;
    if (Formula::has_classes && !l.weighted && column + per_thread <= a.classes) [[likely]] {
      const bool ignore = index == a.ignore_index;
      if (ignore || uint64_t(index - column) < per_thread) [[unlikely]] {  // most quads have neither
#pragma unroll
        for (int k = 0; k < per_thread; ++k) set_class(l, k, row, column + k == index, ignore);
      }
      return;
    }
#pragma unroll  // the arrays would live in local memory if the loop that indexes them stayed a loop
    for (int k = 0; k < per_thread; ++k, ++column) {
      if (k >= count) break;
      if (column == a.classes) {
        column = 0;
        ++row;
      }
      if (per_class) {
        const T alpha = load<T>(a.alpha_per_class, column);
        alpha1[k] *= alpha;
        if (a.complement) alpha0[k] *= T(1) - alpha;
      }
      const T weight = a.weight.data ? load<T>(a.weight, a.weight_per_row ? row : first + k) : T(1);
      alpha1[k] *= weight;
      alpha0[k] *= weight;
      if (!Formula::has_classes) continue;
      if (!a.class_index) {
        if (a.ignores_targets && targets[k] == T(a.ignore_index)) ignore(k);
        continue;
      }
      if (column == 0) index = a.class_index[row];
      set_class(l, k, row, column == index, index == a.ignore_index);
    }
  }

  __device__ __forceinline__ void set_class(const LogitLaunch<T>& l, int k, int64_t row, bool is_class,
                                            bool is_ignored) {
    if (is_class && !is_ignored) {
      if constexpr (turns) {
        turned |= 1u << k;
        logits[k] = -logits[k];
        alpha0[k] = alpha1[k];
      } else {
        targets[k] = Formula::has_scores && l.a.scores.data ? load<T>(l.a.scores, row) : T(1);
      }
    }
    if (is_ignored) ignore(k);
  }

  __device__ __forceinline__ void ignore(int k) {
    ignored |= 1u << k;
    logits[k] = targets[k] = alpha0[k] = alpha1[k] = T(0);
  }

  // Calls f(k, target, parameters) for each logit.
  template <class F>
  __device__ __forceinline__ void each(const LogitLaunch<T>& l, F f) const {
    int64_t column = Formula::has_balance ? first - l.by_classes.quotient(first) * l.a.classes : 0;
    const auto parameters = [&](int k) {
      LogitParameters<T> p = l.parameters;
      p.alpha1 = alpha1[k];
      p.alpha0 = alpha0[k];
      if constexpr (Formula::has_balance) {
        p.balance = load<T>(l.a.balance, column);
        column = column + 1 < l.a.classes ? column + 1 : 0;
      }
      return p;
    };
    if (turns && l.a.class_index) {
#pragma unroll
      for (int k = 0; k < per_thread; ++k) {
        if constexpr (turns) f(k, Background(), parameters(k));
      }
    } else {
#pragma unroll
      for (int k = 0; k < per_thread; ++k) f(k, targets[k], parameters(k));
    }
  }
};

template <class T>
__device__ __forceinline__ T sum_of(const T (&losses)[per_thread]) {
  return (losses[0] + losses[1]) + (losses[2] + losses[3]);
}

// Calls pass(careful), which goes through all logits of a thread and returns the sum of their losses. If a logit is
// infinite, its loss is NaN or infinite, and so is the sum. Then the thread repeats the pass, carefully.
template <class Formula, class T, class F>
__device__ __forceinline__ T sum_of_passes(F pass) {
  T sum;
  unsigned careful = 0, again;
  do {
    sum = pass(careful);
    again = Formula::has_limits && careful == 0 && !(sum <= T(Limits<T>::largest));
    careful = 1;
  } while (again);
  return sum;
}

// Replaces the losses of infinite logits by their limits. They were computed at the largest finite number.
template <class Formula, class T>
__device__ __forceinline__ void take_limits(const Quad<Formula, T>& quad, T (&losses)[per_thread]) {
  nvidia::keep_branch();
#pragma unroll
  for (int k = 0; k < per_thread; ++k)
    if (quad.infinite >> k & 1) losses[k] = limit_of(losses[k]);
}

template <class Formula, class T>
__device__ __forceinline__ void store(const Output& out, const Quad<Formula, T>& quad, const T (&values)[per_thread]) {
  store_values<per_thread - 1>(out, 0, 1, quad.first, quad.count, quad.count == per_thread, values);
}

template <class Formula, class T>
__global__ void __launch_bounds__(threads, resident_blocks<Registers::several, T>)
    logit_losses(const LogitLaunch<T> l, const Delivery to, const Scale<T> scale) {
  const T sum = sum_of_passes<Formula, T>([&](unsigned careful) {
    T of_thread = 0;
    const int64_t step = int64_t(gridDim.x) * threads * per_thread;
    for (int64_t i = (int64_t(blockIdx.x) * threads + threadIdx.x) * per_thread; i < l.a.n; i += step) {
      const Quad<Formula, T> quad(l, nvidia::opaque(i), careful);
      T losses[per_thread];
      quad.each(l, [&](int k, auto target, const auto& p) {
        losses[k] = Formula::evaluate(quad.logits[k], target, p).value;
      });
      if (quad.infinite) [[unlikely]]
        take_limits(quad, losses);
      of_thread += sum_of(losses);
      if (!to.reduced) store({to.out, dtype_of<T>}, quad, losses);
    }
    return of_thread;
  });
  if (to.reduced) deliver_sum(sum, to, scale);
}

// Multiplies g by the upstream gradients of a thread's logits.
template <class Formula, class T>
__device__ __forceinline__ void multiply_by_upstream(const Values& upstream, const Quad<Formula, T>& quad,
                                                     T (&g)[per_thread]) {
  const T first = load<T>(upstream, quad.first);
  T factors[per_thread] = {first, first, first, first};
  if (upstream.stride != 0) [[unlikely]] {
#pragma unroll
    for (int k = 1; k < per_thread; ++k)
      if (k < quad.count) factors[k] = load<T>(upstream, quad.first + k);
  }
#pragma unroll
  for (int k = 0; k < per_thread; ++k) g[k] *= factors[k];
}

// Writes the gradient with respect to the logits and, if wanted, delivers the sum of the losses.
template <class Formula, class T>
__global__ void __launch_bounds__(threads, resident_blocks<Registers::several, T>)
    logit_gradient(const LogitLaunch<T> l, const Delivery to, const Scale<T> scale, const Gradient grad) {
  if (rescale<T>(grad, l.a.n)) return;
  const T common = load_scale(scale);
  const T sum = sum_of_passes<Formula, T>([&](unsigned careful) {
    T of_thread = 0;
    const int64_t step = int64_t(gridDim.x) * threads * per_thread;
    for (int64_t i = (int64_t(blockIdx.x) * threads + threadIdx.x) * per_thread; i < l.a.n; i += step) {
      const Quad<Formula, T> quad(l, nvidia::opaque(i), careful);
      T losses[per_thread], g[per_thread];
      quad.each(l, [&](int k, auto target, const auto& p) {
        const Evaluated<T> e = Formula::evaluate(quad.logits[k], target, p);
        losses[k] = e.value;
        g[k] = e.gradient * common;
      });
      if (quad.infinite) [[unlikely]]
        take_limits(quad, losses);
      of_thread += sum_of(losses);
      if (grad.upstream.data) multiply_by_upstream(grad.upstream, quad, g);
      if (quad.turned | quad.ignored) [[unlikely]] {
#pragma unroll
        for (int k = 0; k < per_thread; ++k) {
          if (quad.turned >> k & 1) g[k] = -g[k];
          if (quad.ignored >> k & 1) g[k] = T(0);  // even if the upstream gradient is infinite or NaN
        }
      }
      store(grad.out, quad, g);
    }
    return of_thread;
  });
  if (to.reduced) deliver_sum(sum, to, scale);
}

// ---- launches ----------------------------------------------------------------------------------------------------

template <class T>
LogitLaunch<T> launch_of(const LogitArguments& a) {
  const auto vectors = [](const Values& v) {
    return v.data == nullptr || is_vectorizable(v.data, v.dtype, per_thread);
  };
  const LogitParameters<T> parameters(LogitOptions<T>(a.options), T(a.alpha1), T(a.alpha0), T(0));
  const bool halves = is_half(a.logits.dtype) && is_half(a.targets.dtype);
  const bool integers = is_integer(a.targets.dtype);
  const bool weighted = a.weight.data || a.alpha_per_class.data || a.ignores_targets;
  const bool aligned = vectors(a.logits) && (integers || vectors(a.targets));
  const bool wide = a.class_index.dtype == Dtype::int64;
  return {a,
          parameters,
          aligned,
          halves,
          a.class_index || weighted || integers,
          weighted,
          wide ? static_cast<const int64_t*>(a.class_index.data) : nullptr,
          {a.classes, a.n}};
}

inline int64_t quads(int64_t n) { return (n + per_thread - 1) / per_thread; }

template <class T>
void launch_logit_losses(const LogitArguments& a, const Delivery& to, const DeviceScale& scale, cudaStream_t stream) {
  static constexpr void (*kernels[])(LogitLaunch<T>, Delivery, Scale<T>) = {
#define X(name, formula, ...) logit_losses<formula, T>,
      IOULOSS_LOGIT_FORMULAS(X)
#undef X
  };
  const int64_t blocks = grid_for<T>(quads(a.n), Registers::several, to.reduced);
  reset_counter(to, blocks, stream);
  kernels[int(a.formula)]<<<unsigned(blocks), threads, 0, stream>>>(launch_of<T>(a), to, scale_of<T>(scale));
}

template <class T>
void launch_logit_gradient(const LogitArguments& a, const Delivery& to, const DeviceScale& scale, const Gradient& grad,
                           cudaStream_t stream) {
  static constexpr void (*kernels[])(LogitLaunch<T>, Delivery, Scale<T>, Gradient) = {
#define X(name, formula, ...) logit_gradient<formula, T>,
      IOULOSS_LOGIT_FORMULAS(X)
#undef X
  };
  const int64_t blocks = grid_for<T>(quads(a.n), Registers::several, to.reduced || grad.saved);
  reset_counter(to, blocks, stream);
  kernels[int(a.formula)]<<<unsigned(blocks), threads, 0, stream>>>(launch_of<T>(a), to, scale_of<T>(scale), grad);
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
