// The losses on one logit x and its target z in [0, 1]. evaluate() returns the value and the derivative with respect to
// x.
// A new loss is a struct and one line in the table: logit_table.h.
#pragma once

#include "regression_formulas.h"
#include "sigmoid.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

struct OfClass : OfLogit {
  static constexpr bool has_background = true;
  static constexpr bool has_scores = false;
};

// ---- focal losses ------------------------------------------------------------------------------------------------

// alpha_t q^gamma BCE with q = 1 - p_t. A target z may be hard or soft: alpha_t, q and BCE are each a blend of their
// value for target 1, with the share z, and their value for target 0, with the share 1 - z. The derivative is alpha_t
// q^gamma (gamma (1 - 2z) (p n / q) BCE + p - z).
struct SquareFocal : OfClass {  // gamma = 2
  template <class V, class Target>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, Target z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const V alpha = blend(z, f.alpha1, f.alpha0), bce = cross_entropy(x, s, z);
    const V q = blend(z, s.n, s.p), p_minus_z = blend(z, -s.n, s.p);
    const V slope = V(between(z, -2, 2)) * (s.p * s.n * bce), factor = alpha * q;
    return {factor * (q * bce), factor * mul_add(q, p_minus_z, slope)};
  }
};

// Returns the factor q^gamma as `value`, and (1 - 2z) p n / q as `gradient`. The derivative of the factor is gamma *
// value * gradient.
template <class V, class Target>
IOULOSS_INLINE Evaluated<V> focal_factor(V x, const Sigmoid<V>& s, Target z, V gamma) {
  const V q = blend(z, s.n, s.p);
  // q may underflow although log(q) is moderate. For hard targets log(q) is minus a softplus, which does not need q.
  const V log_q = blend_or(z, -softplus(x, s), -softplus(-x, s), logarithm(q));
  // For hard targets p n / q is 1 - q, which is finite however small q is.
  const V ratio = blend_or(z, s.p, s.n, s.p * s.n * reciprocal_or_zero(q));
  return {exponential(gamma * log_q), V(between(z, -1, 1)) * ratio};
}

template <class V, class Target>
IOULOSS_INLINE Evaluated<V> power_focal(V x, Target z, V alpha1, V alpha0, V gamma) {
  const Sigmoid<V> s(x);
  const Evaluated<V> factor = focal_factor(x, s, z, gamma);
  const V bce = cross_entropy(x, s, z), p_minus_z = blend(z, -s.n, s.p);
  const V weighted = blend(z, alpha1, alpha0) * factor.value;
  return {weighted * bce, weighted * (gamma * (factor.gradient * bce) + p_minus_z)};
}

struct PowerFocal : OfClass {
  template <class V, class Target>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, Target z, const LogitParameters<V>& f) {
    return power_focal(x, z, f.alpha1, f.alpha0, V(f.gamma));
  }
};

// The focal loss with an exponent for each class: gamma + scale (1 - balance). The exponent also multiplies the loss.
// The balance of a class is at most 1.
struct EqualizedFocal : OfClass {
  static constexpr bool has_balance = true;

  template <class V, class Target>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, Target z, const LogitParameters<V>& f) {
    const V exponent = mul_add(V(-f.scale), f.balance, V(f.gamma + f.scale));
    const V alpha1 = f.alpha1 * exponent, alpha0 = f.alpha0 * exponent;
    Evaluated<V> e = power_focal(x, z, alpha1, alpha0, exponent);
    // The exponent is a factor that may exceed 1, so the loss may overflow. It then becomes the largest finite number;
    // but if the logit or a weight is infinite, the loss stays infinite.
    const V largest(Limits<Scalar<V>>::largest), wild = maximum(absolute(x), alpha1 + alpha0);
    e.value = select(e.value > largest, maximum(largest, wild), e.value);
    return e;
  }
};

// The focal loss with smoothed labels: the cross entropy takes the target z (1 - e) + e / 2, e = label_smoothing. If
// smooth_all is set, alpha and the focal factor take that target too; else they take z.
struct SmoothFocal : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const V smooth = mul_add(z, V(1 - f.label_smoothing), V(f.label_smoothing / 2));
    const V label = f.smooth_all == 0 ? z : smooth, gamma(f.gamma);
    const Evaluated<V> factor = focal_factor(x, s, label, gamma);
    const V bce = cross_entropy(x, s, smooth), p_minus_z = blend(smooth, -s.n, s.p);
    const V weighted = blend(label, f.alpha1, f.alpha0) * factor.value;
    return {weighted * bce, weighted * (gamma * (factor.gradient * bce) + p_minus_z)};
  }
};

// alpha_t softplus(-(gamma x_t + beta)) / gamma with x_t = (2z - 1) x: the focal loss of two parameters
struct FocalStar : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const V toward = V(between(z, -1, 1)), largest(Limits<Scalar<V>>::largest), gamma(f.gamma);
    const V sum = mul_add(gamma * toward, x, V(-f.beta)), clamped = maximum(-largest, minimum(largest, sum));
    const V u = select(absolute(x) <= largest, clamped, sum);  // a finite logit gives a finite sum
    const Sigmoid<V> s(u);
    const V alpha = blend(z, f.alpha1, f.alpha0);
    return {alpha * softplus(u, s) * reciprocal(gamma), alpha * toward * s.p};
  }
};

// Poly-1: the focal loss plus (z alpha1 epsilon1 + (1 - z) alpha0 epsilon0) q^(gamma + 1)
struct PolyFocal : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const V gamma(f.gamma);
    const Evaluated<V> factor = focal_factor(x, s, z, gamma);
    const V bce = cross_entropy(x, s, z), q = blend(z, s.n, s.p), p_minus_z = blend(z, -s.n, s.p);
    const V alpha = blend(z, f.alpha1, f.alpha0), slope = V(between(z, -1, 1)) * (s.p * s.n);
    const V epsilon = blend(z, f.alpha1 * V(f.epsilon1), f.alpha0 * V(f.epsilon0));
    return {factor.value * mul_add(epsilon, q, alpha * bce),
            factor.value *
                mul_add(epsilon * (gamma + V(1)), slope, alpha * mul_add(gamma, factor.gradient * bce, p_minus_z))};
  }
};

// ---- losses whose target is a quality or a heat map --------------------------------------------------------------

// |z - p|^beta BCE
struct QualityFocal : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const V alpha = blend(z, f.alpha1, f.alpha0), bce = cross_entropy(x, s, z);
    const V p_minus_z = blend(z, -s.n, s.p), distance = absolute(p_minus_z);
    const auto log_distance = [&] { return logarithm(distance); };
    const V less = select(distance == V(0), V(0), power(distance, log_distance, f.beta - 1));
    const V factor = alpha * power(distance, log_distance, f.beta), sign = select(p_minus_z < V(0), V(-1), V(1));
    return {factor * bce, mul_add(factor, p_minus_z, alpha * V(f.beta) * (sign * less) * (s.p * s.n * bce))};
  }
};

// sigmoid(u)^exponent softplus(u), and its derivative with respect to u: the loss of a target that a positive u
// contradicts. r is sigmoid(u), other is sigmoid(-u).
template <class V>
IOULOSS_INLINE Evaluated<V> contradiction(V u, const Sigmoid<V>& s, V r, V other, Scalar<V> exponent) {
  const V cost = softplus(u, s), factor = power(r, [&] { return -softplus(-u, s); }, exponent);
  return {factor * cost, factor * mul_add(V(exponent), other * cost, r)};
}

// z > 0: alpha1 z BCE, or alpha1 BCE if iou_weighted is not set; z = 0: alpha0 p^gamma softplus(x)
struct Varifocal : OfLogit {
  static constexpr bool has_scores = false;  // a positive whose score is 0 would be taken for a negative

  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const Evaluated<V> negative = contradiction(x, s, s.p, s.n, f.gamma);
    const V weight = f.alpha1 * (f.iou_weighted == 0 ? V(1) : z);
    const auto is_positive = z > V(0);
    return {select(is_positive, weight * cross_entropy(x, s, z), f.alpha0 * negative.value),
            select(is_positive, weight * blend(z, -s.n, s.p), f.alpha0 * negative.gradient)};
  }
};

// z = 1: alpha1 n^alpha softplus(-x); else alpha0 (1 - z)^beta p^alpha softplus(x)
struct GaussianFocal : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const auto is_peak = z == V(1);
    const Evaluated<V> e =
        contradiction(select(is_peak, -x, x), s, select(is_peak, s.n, s.p), select(is_peak, s.p, s.n), f.alpha);
    const V away = V(1) - z, fading = power(away, [&] { return logarithm(away); }, f.beta);
    const V weight = select(is_peak, f.alpha1, f.alpha0 * fading);
    return {weight * e.value, select(is_peak, -weight, weight) * e.gradient};
  }
};

// ---- other losses ------------------------------------------------------------------------------------------------

// alpha1 z softplus(-x) + alpha0 (1 - z) softplus(x)
struct BinaryCrossEntropy : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const V of_one = f.alpha1 * z, of_zero = f.alpha0 * (V(1) - z);
    return {mul_add(of_one, softplus(-x, s), of_zero * softplus(x, s)), mul_add(of_zero, s.p, -(of_one * s.n))};
  }
};

// alpha1 z n^gamma_pos softplus(-x) - alpha0 (1 - z) p_m^gamma_neg log(1 - p_m) with p_m = max(p - margin, 0). The
// gradient includes the derivatives of the two focusing factors, n^gamma_pos and p_m^gamma_neg, only if `attached`.
template <bool attached>
struct Asymmetric : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    using T = Scalar<V>;
    const Sigmoid<V> s(x);
    const V of_one = f.alpha1 * z, of_zero = f.alpha0 * (V(1) - z), flat = softplus(-x, s);
    const V gamma_pos(f.gamma_pos), focus = exponential(gamma_pos * -softplus(x, s));
    const auto shifted = [&](T margin) {
      // Without a margin -log(1 - p_m) is softplus(x), and p n / (1 - p_m) is p. Both are precise where n is small.
      const V pm = positive_part(s.p - V(margin)), rest = s.n + V(margin);
      const V cost = margin == 0 ? softplus(x, s) : select(pm > V(0), -logarithm(rest), V(0));
      const V slope = margin == 0 ? s.p : select(pm > V(0), s.p * s.n * reciprocal(rest), V(0));
      const auto log_pm = [&] { return margin == 0 ? -flat : logarithm(pm); };
      const V factor = power(pm, log_pm, f.gamma_neg);
      V gradient = factor * slope;
      if constexpr (attached) {
        const V less = select(pm > V(0), power(pm, log_pm, f.gamma_neg - 1), V(0));
        // Without a margin p n / p_m is n, however small p is.
        const V steep = margin == 0 ? factor * s.n : less * (s.p * s.n);
        gradient = mul_add(V(f.gamma_neg), cost * steep, gradient);
      }
      return Evaluated<V>{factor * cost, gradient};
    };
    const Evaluated<V> negative = shifted(f.margin);
    V positive = focus * s.n;
    if constexpr (attached) positive = focus * mul_add(gamma_pos * s.p, flat, s.n);
    return {mul_add(of_one, focus * flat, of_zero * negative.value),
            mul_add(of_zero, negative.gradient, -(of_one * positive))};
  }
};

// The entropy of sigmoid(x), which has no target: softplus(x) - x p
struct BinaryEntropy : OfLogit {
  static constexpr bool has_targets = false;

  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    return {f.alpha0 * mul_add(s.magnitude, minimum(s.p, s.n), s.tail), f.alpha0 * (-x * s.n * s.p)};
  }
};

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
