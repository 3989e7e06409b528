// The losses on one logit and its target.
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

// A loss and its derivative by the logit. A compiler drops the one that is not used.
template <class V>
struct Evaluated {
  V value, gradient;
};

template <class V>
struct FocalParameters {
  V alpha1, alpha0;  // weight of target 1 and of target 0
  V gamma;
};

// alpha_t q^gamma BCE with q = 1 - p_t, for hard and soft targets z: alpha_t, q and BCE are blends by z.
// Its derivative: alpha_t q^gamma (gamma (1 - 2z) (p n / q) BCE + p - z).
template <bool gamma_is_2>
struct SigmoidFocal {
  template <class V, class Target>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, Target z, const FocalParameters<V>& f) {
    const Sigmoid<V> s(x);
    const V alpha = blend(z, f.alpha1, f.alpha0), bce = cross_entropy(x, s, z);
    const V q = blend(z, s.n, s.p), p_minus_z = blend(z, -s.n, s.p);
    if constexpr (gamma_is_2) {
      const V slope = V(between(z, -2, 2)) * (s.p * s.n * bce), factor = alpha * q;
      return {factor * (q * bce), factor * mul_add(q, p_minus_z, slope)};
    } else {
      // q may underflow where its logarithm is a moderate number; hard targets know that without q.
      const V log_p = -(positive_part(-x) + s.tail), log_n = -(positive_part(x) + s.tail);
      const V factor = alpha * exponential(f.gamma * blend_or(z, log_n, log_p, logarithm(q)));
      // p n / q is 1 - q for hard targets: finite however small q is.
      const V ratio = blend_or(z, s.p, s.n, s.p * s.n * reciprocal_or_zero(q));
      return {factor * bce, factor * (f.gamma * V(between(z, -1, 1)) * (ratio * bce) + p_minus_z)};
    }
  }
};

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
