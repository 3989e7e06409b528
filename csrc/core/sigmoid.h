// What the losses on one logit share: the sigmoid and its logarithms, blends by a target, powers.
#pragma once

#include <type_traits>

#include "number.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// Everything that a loss needs of one logit x, from one exponential and (in float32) one reciprocal. No member is a
// difference of nearly equal numbers, so each keeps its relative precision for every x.
template <class V>
struct Sigmoid {
  V p, n;             // sigmoid(x), sigmoid(-x)
  V magnitude, tail;  // |x|, log(1 + exp(-|x|)): softplus(x) is max(x, 0) + tail

  explicit IOULOSS_INLINE Sigmoid(V x) : magnitude(absolute(x)) {
    const V e = decay(magnitude);
    V larger;
    if constexpr (std::is_same_v<Scalar<V>, double>) {
      larger = reciprocal(V(1) + e);
      tail = log_1_plus(e);
    } else {
      const V one = V(1) + e, two = V(2) + e, r = reciprocal(one * two);
      larger = two * r;
      tail = log_1_plus_from(e * (one * r));
    }
    const V smaller = e * larger;
    p = select(x < V(0), smaller, larger);
    n = select(x < V(0), larger, smaller);
  }
};

// A target blends two numbers: the one for target 1 and the one for target 0. It is either a value in [0, 1], or
// Background: a target that is known at compile time to be 0, for which the blend costs nothing. With class indices
// most targets are 0.
struct Background {};

template <class V>
IOULOSS_INLINE V blend(V z, V of_one, V of_zero) {
  return mul_add(z, of_one, (V(1) - z) * of_zero);  // exact for 0 and 1
}
template <class V>
IOULOSS_INLINE V blend(Background, V, V of_zero) {
  return of_zero;
}

// The same for two constants, whose difference is computed at compile time or once per launch.
template <class V>
IOULOSS_INLINE V between(V z, double of_one, double of_zero) {
  return mul_add(z, V(of_one - of_zero), V(of_zero));
}
IOULOSS_INLINE double between(Background, double, double of_zero) { return of_zero; }

// The cross entropy -z log p - (1 - z) log n. It is `tail`, plus |x| times the share of the target that contradicts the
// sign of x.
template <class V>
IOULOSS_INLINE V cross_entropy(V x, const Sigmoid<V>& s, V z) {
  return mul_add(select(x < V(0), z, V(1) - z), s.magnitude, s.tail);
}
template <class V>
IOULOSS_INLINE V cross_entropy(V x, const Sigmoid<V>& s, Background) {
  return positive_part(x) + s.tail;
}

// blend() for hard targets, else `soft`: for a quantity that is known more precisely for hard targets.
template <class V>
IOULOSS_INLINE V blend_or(V z, V of_one, V of_zero, V soft) {
  return select(z * (V(1) - z) == V(0), blend(z, of_one, of_zero), soft);
}
template <class V>
IOULOSS_INLINE V blend_or(Background, V, V of_zero, V) {
  return of_zero;
}

// softplus(x) = -log sigmoid(-x): the cross entropy of a logit x with target 0. softplus(-x) is that with target 1.
template <class V>
IOULOSS_INLINE V softplus(V x, const Sigmoid<V>& s) {
  return positive_part(x) + s.tail;
}

// base^exponent for base >= 0, where 0^0 is 1. The exponents 0, 1, 2 and 4 need no logarithm, so log_base() is called
// only for others. The whole launch takes the same branch, since the exponent is the same everywhere.
template <class V, class Log>
IOULOSS_INLINE V power(V base, Log log_base, Scalar<V> exponent) {
  if (exponent == 2) return base * base;
  if (exponent == 1) return base;
  if (exponent == 0) return V(1);
  if (exponent == 4) return (base * base) * (base * base);
  return exponential(V(exponent) * log_base());
}

template <class T>
IOULOSS_INLINE bool is_infinite(T x) {
  return absolute(x) > T(Limits<T>::largest);
}

// The limit of the loss as a logit goes to infinity, given the loss at the largest finite number. If that is beyond
// 2^64, which no bounded loss reaches, the loss grows without bound and its limit is infinite.
template <class T>
IOULOSS_INLINE T limit_of(T loss) {
  return absolute(loss) > T(0x1p64) ? loss * T(Limits<T>::largest) : loss;
}

// A loss and its derivative with respect to the logit. Where one is not used, the compiler removes it.
template <class V>
struct Evaluated {
  V value, gradient;
};

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
