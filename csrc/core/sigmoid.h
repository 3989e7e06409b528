// What the losses on one logit share: the sigmoid and its logarithms, blends by a target, powers.
#pragma once

#include <type_traits>

#include "number.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// Everything a loss needs of one logit x, from one exponential and (in float32) one reciprocal. Nothing here is a
// difference of nearly equal numbers, so each keeps its relative precision for every x.
template <class V>
struct Sigmoid {
  V p, n;             // sigmoid(x), sigmoid(-x)
  V magnitude, tail;  // |x|, log(1 + exp(-|x|)): softplus(x) is max(x, 0) + tail

  explicit IOULOSS_INLINE Sigmoid(V x) : magnitude(absolute(x)) {
    const V e = decay(magnitude);
    V larger;
    if constexpr (std::is_same_v<Element<V>, double>) {
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

// The target of a logit blends two numbers. It is a value in [0, 1], or known to be 0, as most are where targets are
// class indices: then nothing is left to compute of the blend.
struct Background {};

template <class V>
IOULOSS_INLINE V blend(V z, V of_one, V of_zero) {
  return mul_add(z, of_one, (V(1) - z) * of_zero);  // exact for 0 and 1
}
template <class V>
IOULOSS_INLINE V blend(Background, V, V of_zero) {
  return of_zero;
}

// The same of two constants, whose difference costs nothing.
template <class V>
IOULOSS_INLINE V between(V z, double of_one, double of_zero) {
  return mul_add(z, V(of_one - of_zero), V(of_zero));
}
IOULOSS_INLINE double between(Background, double, double of_zero) { return of_zero; }

// The cross entropy -z log p - (1 - z) log n: the share of the target that contradicts the sign costs |x|.
template <class V>
IOULOSS_INLINE V cross_entropy(V x, const Sigmoid<V>& s, V z) {
  return mul_add(select(x < V(0), z, V(1) - z), s.magnitude, s.tail);
}
template <class V>
IOULOSS_INLINE V cross_entropy(V x, const Sigmoid<V>& s, Background) {
  return positive_part(x) + s.tail;
}

// The blend of a quantity that is known more precisely for hard targets than for soft ones.
template <class V>
IOULOSS_INLINE V blend_or(V z, V of_one, V of_zero, V soft) {
  return select(z * (V(1) - z) == V(0), blend(z, of_one, of_zero), soft);
}
template <class V>
IOULOSS_INLINE V blend_or(Background, V, V of_zero, V) {
  return of_zero;
}

// softplus(x) = -log sigmoid(-x): the cross entropy of a logit with target 0; that of -x, with target 1.
template <class V>
IOULOSS_INLINE V softplus(V x, const Sigmoid<V>& s) {
  return positive_part(x) + s.tail;
}

// base^exponent for base >= 0, by squaring where it is a small power of two, else by the logarithm, which only then is
// computed; 0^0 is 1. The exponent is one number for a whole launch, so this branch is taken by all alike.
template <class V, class Log>
IOULOSS_INLINE V power(V base, Log log_base, Element<V> exponent) {
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

// The loss of an infinite logit, given that of the largest number: infinite where this is more than a loss that has a
// bound could come to.
template <class T>
IOULOSS_INLINE T limit_of(T loss) {
  return absolute(loss) > T(0x1p64) ? loss * T(Limits<T>::largest) : loss;
}

// A loss and its derivative by the logit. A compiler drops the one that is not used.
template <class V>
struct Evaluated {
  V value, gradient;
};

// Every loss is linear in the first two, so that they carry the weights as well.
template <class V>
struct LogitParameters {
  V alpha1, alpha0;  // what the loss of target 1 and of target 0 is multiplied by
  V gamma;           // the one exponent that may differ from class to class
  Element<V> second, third;
};

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
