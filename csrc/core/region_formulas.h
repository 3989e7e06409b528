// The losses of regions: what a pixel adds to the sums of its region, and how the loss follows from the sums.
#pragma once

#include "number.h"
#include "region_arguments.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// What a pixel with the probability p = 1 - n and the target g adds to the sums: what p and g share, what p has beyond
// g, and what it lacks. None of these is a difference of nearly equal numbers, and neither is the loss computed from
// their sums.
template <class V>
struct RegionTerms {
  V overlap, extra, missed;
};

// What the gradient of a cell is computed from: of_error and of_target of its region's RegionLoss. They are already
// multiplied by every factor of the loss (weights, the scale of a mean), except the upstream gradient.
template <class T>
struct Slopes {
  T of_error, of_target;
};

// The denominator is linear in probabilities and targets. slope() is the derivative of the region's loss with respect
// to p, given of_error and of_target of RegionLoss.
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

// The denominator sums squares, p^2 + g^2. That is 2 p g + (p - g)^2, so `extra` is (p - g)^2.
struct SquareTerms {
  // p - g. With a hard target nothing cancels.
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

// The loss is (1 - (overlap + smooth_numerator) / (overlap + alpha extra + beta missed + smooth_denominator))^exponent.
// With SquareTerms, `missed` and beta are 0.
struct RegionRule {
  double alpha, beta, smooth_numerator, smooth_denominator, exponent;
  // Limits of the number type. A denominator below `tiny` counts as 0; a derivative beyond `largest` is clamped.
  double tiny, largest;

  explicit IOULOSS_INLINE RegionRule(const RegionArguments& a)
      : alpha(a.options.alpha),
        beta(a.options.beta),
        smooth_numerator(a.options.smooth_numerator),
        smooth_denominator(a.options.smooth_denominator),
        exponent(a.exponent),
        tiny(a.float64 ? Limits<double>::tiny : Limits<float>::tiny),
        largest(a.float64 ? Limits<double>::largest : Limits<float>::largest) {}
};

// The loss of a region and its derivatives. of_error is the derivative with respect to the sum `extra`. A higher
// probability of a target pixel moves the same amount from `missed` to `overlap`; of_target is how much the loss falls
// per unit moved.
struct RegionLoss {
  double value, of_error, of_target;
};

IOULOSS_INLINE RegionLoss evaluate(const RegionSums& s, const RegionRule& rule) {
  const double error = rule.alpha * s.extra + rule.beta * s.missed + (rule.smooth_denominator - rule.smooth_numerator);
  const double right = s.overlap + rule.smooth_numerator, all = right + error;
  if (absolute(all) < rule.tiny) return {0, 0, 0};  // no target and no prediction
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

// The weight of a class in the generalized Dice loss, given the sum of its targets. 0 marks an absent class, to which
// the caller gives the largest weight of the others.
IOULOSS_INLINE double inverse_square(double target) { return target < 1e-15 ? 0 : 1 / (target * target); }

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
