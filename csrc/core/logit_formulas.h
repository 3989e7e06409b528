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
  V p, n;          // sigmoid(x), sigmoid(-x)
  V cost1, cost0;  // -log p = softplus(-x): the cross entropy of target 1; -log n = softplus(x): of target 0

  explicit IOULOSS_INLINE Sigmoid(V x) {
    const V e = exponential(-absolute(x));
    V larger, log_1_plus_e;
    if constexpr (std::is_same_v<Element<V>, double>) {
      larger = reciprocal(V(1) + e);
      log_1_plus_e = log_1_plus(e);
    } else {
      const V one = V(1) + e, two = V(2) + e, r = reciprocal(one * two);
      larger = two * r;
      log_1_plus_e = log_1_plus_from(e * (one * r));
    }
    const V smaller = e * larger;
    p = select(x < V(0), smaller, larger);
    n = select(x < V(0), larger, smaller);
    cost1 = positive_part(-x) + log_1_plus_e;
    cost0 = positive_part(x) + log_1_plus_e;
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

// The same of a quantity whose blend for hard targets is known more precisely than that for soft ones.
template <class V>
IOULOSS_INLINE V blend_or(V z, V of_one, V of_zero, V soft) {
  return select(z * (V(1) - z) == V(0), blend(z, of_one, of_zero), soft);
}
template <class V>
IOULOSS_INLINE V blend_or(Background, V, V of_zero, V) {
  return of_zero;
}

template <class V>
struct FocalParameters {
  V alpha1, alpha0;  // weight of target 1 and of target 0
  V gamma;
};

// alpha_t q^gamma BCE with q = 1 - p_t, for hard and soft targets z: alpha_t, q and BCE are blends by z.
template <bool gamma_is_2>
struct SigmoidFocal {
  template <class V>
  struct Terms {
    V alpha, q, bce, power;  // power: q^gamma
    template <class Target>
    IOULOSS_INLINE Terms(const Sigmoid<V>& s, Target z, const FocalParameters<V>& f) {
      alpha = blend(z, f.alpha1, f.alpha0);
      bce = blend(z, s.cost1, s.cost0);
      q = blend(z, s.n, s.p);
      if constexpr (gamma_is_2) {
        power = q * q;
      } else {
        // q may underflow where its logarithm is a moderate number; hard targets know that without q.
        power = exponential(f.gamma * blend_or(z, -s.cost0, -s.cost1, logarithm(q)));
      }
    }
  };

  template <class V, class Target>
  static IOULOSS_INLINE V value(V x, Target z, const FocalParameters<V>& f) {
    const Terms<V> t(Sigmoid<V>(x), z, f);
    return t.alpha * t.power * t.bce;
  }

  // alpha_t q^gamma (gamma (1 - 2z) (p n / q) BCE + p - z)
  template <class V, class Target>
  static IOULOSS_INLINE V gradient(V x, Target z, const FocalParameters<V>& f) {
    const Sigmoid<V> s(x);
    const Terms<V> t(s, z, f);
    const V toward = blend(z, V(-1), V(1)), p_minus_z = blend(z, -s.n, s.p);
    if constexpr (gamma_is_2) {
      const V slope = toward * (s.p * s.n * t.bce);
      return t.alpha * t.q * (slope + slope + t.q * p_minus_z);
    } else {
      // p n / q is 1 - q for hard targets: finite however small q is.
      const V ratio = blend_or(z, s.p, s.n, s.p * s.n * reciprocal_or_zero(t.q));
      return t.alpha * t.power * (f.gamma * toward * (ratio * t.bce) + p_minus_z);
    }
  }
};

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
