// The odds of one class of a row against all others, computed from the sums over the row.
#pragma once

#include <type_traits>

#include "number.h"
#include "sigmoid.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// bounded_above() replaces infinity by the largest finite number. bounded() also replaces -infinity, by the lowest
// finite number. A NaN stays NaN.
template <class V>
IOULOSS_INLINE V bounded_above(V x) {
  const V largest(Limits<Scalar<V>>::largest);
  return select(x > largest, largest, x);
}
template <class V>
IOULOSS_INLINE V bounded(V x) {
  return -bounded_above(-bounded_above(x));
}

// log(1 + x) for x >= 0.
template <class V>
IOULOSS_INLINE V log_1_plus_any(V x) {
  if constexpr (std::is_same_v<Scalar<V>, double>)
    return log_1_plus(x);
  else {
    const V small = minimum(x, V(1));  // 1 if x is NaN; select() then takes the logarithm, which is NaN
    return select(x <= V(1), log_1_plus_from(small * reciprocal(V(2) + small)), logarithm(V(1) + x));
  }
}

// Given s = a + b as it was rounded, returns what the rounding lost: the exact sum minus s. This result is not rounded
// itself, unless a sum overflows.
template <class V>
IOULOSS_INLINE V lost_in_sum(V a, V b, V s) {
  const V of_b = s - a;
  return (a - (s - of_b)) + (b - of_b);
}

// In float32: x rounded to a whole number if |x| < 2^22, else x. In float64: x itself, because distances from it are
// precise enough without rounding.
template <class V>
IOULOSS_INLINE V nearest_whole(V x) {
  if constexpr (std::is_same_v<Scalar<V>, double>)
    return x;
  else {
    const V shift(0x1.8p23);
    return select(absolute(x) < V(0x1p22), (x + shift) - shift, x);
  }
}

// exp(x - m). In float32 it is corrected for the rounding error of the distance m - x. Two subtractions give that
// error, because m - distance is exact if m is a whole number.
template <class V>
IOULOSS_INLINE V exponential_from_whole(V m, V x) {
  const V distance = m - x;
  if constexpr (std::is_same_v<Scalar<V>, double>)
    return decay(distance);
  else
    return decay(distance, x - (m - distance));
}

// The odds of all other classes against the row's class, whose logit is x. They are e^y with y = log(others) + (m - x),
// where `others` is the sum of exp(x_k - m) over the other classes k. sigmoid(y) is computed as a / (a + b), where a
// stands for the other classes and b for the row's class. Both are scaled by the same factor, so that no exponential
// exceeds 1. This avoids y itself, since taking a logarithm and rounding y would cost precision.
template <class V>
struct LogOdds {
  V u, n, entropy;  // sigmoid(y), sigmoid(-y), softplus(y)

  IOULOSS_INLINE LogOdds(V m, V x, V others) : others(others), distance(m - x) {
    constexpr bool exact = std::is_same_v<Scalar<V>, double>;
    away = exact ? V(0) : (m - distance) - x;
    const auto is_far = distance > V(0);
    const V e = precise_decay(absolute(distance), select(is_far, -away, away));
    const V a = select(is_far, others, others * e), b = select(is_far, e, V(1));
    const V sum = a + b, r = reciprocal(sum);
    u = quotient(a, sum, r);
    n = quotient(b, sum, r);
    const V less = minimum(a, b), more = maximum(a, b);
    if constexpr (exact) {
      tail = log_1_plus(less * reciprocal(more));
    } else {
      const V twice = (more + more) + less;
      tail = log_1_plus_from(quotient(less, twice, reciprocal(twice)));
    }
    const auto is_near = distance < V(60);  // else b is negligible, and perhaps too small to divide by
    const V log = logarithm(select(is_near, sum * reciprocal(b), others));
    entropy = select(u <= n, tail, select(is_near, log, bounded(distance + log) + tail));
  }

  // softplus(-y)
  IOULOSS_INLINE V negative(V log_others) const {
    return select(u <= n, entropy - bounded(distance + log_others), tail);
  }

  // u^exponent
  IOULOSS_INLINE V power(Scalar<V> exponent) const {
    if (exponent == 0) return V(1);
    if (exponent == 1) return u;
    if (exponent == 2) return u * u;
    // u^exponent is exp(-exponent * negative()). Two rounding errors are corrected: that of the product and, where
    // negative() is computed from y, that of y.
    const V log_others = logarithm(others), y = bounded(distance + log_others), cost = negative(log_others);
    const V of_log = mul_add(others, exponential(-log_others), V(-1));
    const V all = (away + lost_in_sum(distance, log_others, y)) + of_log;
    const V lost = select(u <= n, select(absolute(all) < V(1), all, V(0)), V(0));
    const V product = bounded(V(exponent) * cost), of_product = mul_add(V(exponent), cost, -product);
    return precise_decay(product, mul_add(V(exponent), n * lost, -of_product));
  }

 private:
  V others, distance, away;  // away: the rounding error of distance
  V tail;                    // log(1 + min(e^y, e^-y))
};

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
