// The losses of regions: what a pixel adds to the sums of its region, and the loss that the sums make.
#pragma once

#include "number.h"
#include "region_arguments.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// A pixel has the probability p = 1 - n and the target g. What p and g share, what p has beyond g, and what it lacks:
// none is a difference of nearly equal numbers, and neither is a loss that is made of their sums.
template <class V>
struct RegionTerms {
  V overlap, extra, missed;
};

// The slopes of a cell: what RegionLoss calls so, each with all that multiplies the loss but what is upstream.
template <class T>
struct Slopes {
  T of_error, of_target;
};

// The slope of a term: `of_error` and `of_target` are the derivatives of the region's loss, see RegionLoss.
struct LinearTerms {
  template <class V>
  static IOULOSS_INLINE RegionTerms<V> terms(V p, V n, V g) {
    return {p * g, p * (V(1) - g), n * g};
  }
  template <class V>
  static IOULOSS_INLINE V slope(V, V, V g, V of_error, V of_target) {
    return mul_add(-g, of_target, (V(1) - g) * of_error);
  }
};

// With squares in the denominator: p^2 + g^2 = 2 p g + (p - g)^2.
struct SquareTerms {
  template <class V>
  static IOULOSS_INLINE V error(V p, V n, V g) {
    return mul_add(-g, n, p * (V(1) - g));
  }
  template <class V>
  static IOULOSS_INLINE RegionTerms<V> terms(V p, V n, V g) {
    const V d = error(p, n, g);
    return {p * g, d * d, V(0)};
  }
  template <class V>
  static IOULOSS_INLINE V slope(V p, V n, V g, V of_error, V of_target) {
    const V d = error(p, n, g);
    return mul_add(-g, of_target, (d + d) * of_error);
  }
};

IOULOSS_INLINE void add(RegionSums& to, const RegionSums& more, double weight = 1) {
  to.overlap += weight * more.overlap;
  to.extra += weight * more.extra;
  to.missed += weight * more.missed;
}

// The loss is 1 - (overlap + smooth_numerator) / (overlap + alpha extra + beta missed + smooth_denominator), to the
// power of `exponent`. Squares have no sum `missed`, and beta = 0.
struct RegionRule {
  double alpha, beta, smooth_numerator, smooth_denominator, exponent;
  double tiny, largest;  // of the number type: denominators below count as 0, derivatives do not go beyond

  explicit IOULOSS_INLINE RegionRule(const RegionArguments& a)
      : alpha(a.alpha),
        beta(a.beta),
        smooth_numerator(a.smooth_numerator),
        smooth_denominator(a.smooth_denominator),
        exponent(a.exponent),
        tiny(a.float64 ? Limits<double>::tiny : Limits<float>::tiny),
        largest(a.float64 ? Limits<double>::largest : Limits<float>::largest) {}
};

// The loss, its derivative by what a pixel has too much, and the negative of that by what it has of the target.
struct RegionLoss {
  double value, of_error, of_target;
};

IOULOSS_INLINE RegionLoss evaluate(const RegionSums& s, const RegionRule& rule) {
  const double error = rule.alpha * s.extra + rule.beta * s.missed + (rule.smooth_denominator - rule.smooth_numerator);
  const double right = s.overlap + rule.smooth_numerator, all = right + error;
  if (absolute(all) < rule.tiny) return {0, 0, 0};  // nothing there and nothing predicted
  const double r = 1 / all;
  double value = error * r, slope = r;
  const double of_error = rule.alpha * (right * r), of_target = rule.beta * (right * r) + value;
  if (rule.exponent != 1) {
    if (value <= 0) return {0, 0, 0};
    const double power = exponential(rule.exponent * logarithm(value));
    slope *= rule.exponent * power / value;
    value = power;
  }
  const auto bounded = [&](double x) {
    return x > rule.largest ? rule.largest : x < -rule.largest ? -rule.largest : x;
  };
  return {value, bounded(of_error * slope), bounded(of_target * slope)};
}

// The weight of a class in the generalized Dice loss, given the sum of its targets; 0 stands for a class that is
// absent, which takes the largest weight of the others.
IOULOSS_INLINE double inverse_square(double target) { return target < 1e-15 ? 0 : 1 / (target * target); }

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
