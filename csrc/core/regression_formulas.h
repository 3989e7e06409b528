// The losses on the difference d = x - z of two numbers. They run through the kernels of logits, with the same
// parameters: alpha1 carries the weight.
#pragma once

#include "box.h"
#include "logit_parameters.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// Completes a loss of |d|, given its value and its derivative with respect to |d|. The derivative with respect to d has
// the sign of d, and is 0 at d = 0. Values that overflow saturate. The weight multiplies after that, so that an
// infinite or NaN weight shows in the result.
template <class V>
IOULOSS_INLINE Evaluated<V> of_difference(V x, V z, V weight, V value, V slope) {
  const V d = x - z, extent = maximum(absolute(x), absolute(z)) + (x - x) + (z - z);
  const V gradient = select(d > V(0), slope, select(d < V(0), -slope, V(0)));
  return {weight * tamed(value, extent), weight * tamed(gradient, extent)};
}

// |d|
struct AbsoluteDifference : OfDifference {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    return of_difference(x, z, f.alpha1, absolute(x - z), V(1));
  }
};

// d^2
struct SquaredDifference : OfDifference {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const V distance = absolute(x - z);
    return of_difference(x, z, f.alpha1, distance * distance, distance + distance);
  }
};

// factor times smooth L1: d^2 / (2 beta) where |d| < beta, else |d| - beta / 2
struct SmoothDifference : OfDifference {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    V slope;
    const V value = smooth_l1(absolute(x - z), V(f.beta), slope), factor(f.factor);
    return of_difference(x, z, f.alpha1, factor * value, factor * slope);
  }
};

// For t >= 0: log(1 + t), log(1 + t) / t and ((1 + t) log(1 + t) - t) / t. Where t is small, series replace these
// formulas, in which nearly equal numbers would cancel.
template <class V>
struct LogarithmicGrowth {
  V log, log_by_t, growth_by_t;
  explicit IOULOSS_INLINE LogarithmicGrowth(V t) {
    const V one_more = V(1) + t;
    const auto is_small = t < V(0.25);
    // The second summand corrects the rounding error of 1 + t.
    log = logarithm(one_more) + (t - (one_more - V(1))) * reciprocal(one_more);
    const V by_t = reciprocal(maximum(t, V(0.25)));
    log_by_t = select(is_small, series(t, 1), log * by_t);
    growth_by_t = select(is_small, t * series(t, 2), mul_add(one_more, log, -t) * by_t);
    log = select(is_small, t * log_by_t, log);
  }
  // which = 1: log(1 + t) / t, the sum of (-t)^k / (k + 1).
  // which = 2: ((1 + t) log(1 + t) - t) / t^2, the sum of (-t)^k / ((k + 1) (k + 2)).
  static IOULOSS_INLINE V series(V t, int which) {
    V sum(0);
    for (int k = sizeof(Scalar<V>) == 8 ? 24 : 12; k >= 0; --k)
      sum = mul_add(sum, -t, V(1.0 / (which == 1 ? k + 1 : (k + 1) * (k + 2))));
    return sum;
  }
};

// Balanced L1 of Libra R-CNN, with b = growth = e^(gamma / alpha) - 1:
// |d| < beta: alpha / b (b |d| + 1) log(b |d| / beta + 1) - alpha |d|; beyond that, a straight line.
struct BalancedDifference : OfDifference {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const V distance = absolute(x - z), alpha(f.alpha), beta(f.beta), per_beta = reciprocal(beta);
    const V near = minimum(distance, beta), share = near * per_beta, t = share * V(f.growth);
    const LogarithmicGrowth<V> of(t);
    const V inside = alpha * share * mul_add(beta, of.growth_by_t, (V(1) - beta) * of.log_by_t);
    // A summand of the slope that is 0 beyond beta. Unless beta is 1, the slope jumps at |d| = beta.
    const V step = select(distance < beta, (V(1) - beta) * per_beta * reciprocal(V(1) + t), V(0));
    return of_difference(x, z, f.alpha1, mul_add(alpha * of.log, distance - near, inside), alpha * (of.log + step));
  }
};

// |d| <= 1: -alpha d^2 (2 log(beta |d|) - 1) / 4, else -alpha log(beta) |d| + alpha (2 log(beta) + 1) / 4
struct FocalDifference : OfDifference {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const V distance = absolute(x - z), log_beta(f.log_beta), alpha(f.alpha);
    const V near = minimum(distance, V(1)), log = select(near > V(0), logarithm(near), V(0)) + log_beta;
    const auto is_near = distance < V(1);
    const V inside = V(-0.25) * alpha * (near * near) * (log + log - V(1));
    const V outside = alpha * mul_add(-log_beta, distance, V(0.25) * (log_beta + log_beta + V(1)));
    return of_difference(x, z, f.alpha1, select(is_near, inside, outside),
                         -alpha * select(is_near, near * log, log_beta));
  }
};

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
