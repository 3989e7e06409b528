// The losses on one logit x and its target z in [0, 1]. evaluate() returns the value and the derivative with respect to
// x.
// A new loss is a struct and one line in the table at the end.
#pragma once

#include "regression_formulas.h"
#include "sigmoid.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

struct OfLogit {
  static constexpr bool has_background = false;  // whether evaluate() also takes Background: a target known to be 0
  static constexpr bool has_limits = true;       // whether the loss of an infinite logit is a limit: see limit_of()
};
struct OfClass : OfLogit {
  static constexpr bool has_background = true;
};

// ---- focal losses ------------------------------------------------------------------------------------------------

// alpha_t q^gamma BCE with q = 1 - p_t. Targets z may be hard or soft: alpha_t, q and BCE are blends by z. The
// derivative is alpha_t q^gamma (gamma (1 - 2z) (p n / q) BCE + p - z).
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

// value is the factor q^gamma; gradient is (1 - 2z) p n / q. The derivative of the factor is gamma * value * gradient.
template <class V, class Target>
IOULOSS_INLINE Evaluated<V> focal_factor(V x, const Sigmoid<V>& s, Target z, const LogitParameters<V>& f) {
  const V q = blend(z, s.n, s.p);
  // q may underflow although log(q) is moderate. For hard targets log(q) is a softplus, which does not need q.
  const V log_q = blend_or(z, -softplus(x, s), -softplus(-x, s), logarithm(q));
  // For hard targets p n / q is 1 - q, which is finite however small q is.
  const V ratio = blend_or(z, s.p, s.n, s.p * s.n * reciprocal_or_zero(q));
  return {exponential(f.gamma * log_q), V(between(z, -1, 1)) * ratio};
}

struct PowerFocal : OfClass {
  template <class V, class Target>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, Target z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const Evaluated<V> factor = focal_factor(x, s, z, f);
    const V bce = cross_entropy(x, s, z), p_minus_z = blend(z, -s.n, s.p);
    const V weighted = blend(z, f.alpha1, f.alpha0) * factor.value;
    return {weighted * bce, weighted * (f.gamma * (factor.gradient * bce) + p_minus_z)};
  }
};

// The same with an exponent per class. In the place of gamma comes the balance of the class, which is at most 1. The
// exponent is third - second * balance, and the loss is also multiplied by it.
struct EqualizedFocal : OfClass {
  template <class V, class Target>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, Target z, LogitParameters<V> f) {
    f.gamma = mul_add(V(-f.second), f.gamma, V(f.third));
    f.alpha1 = f.alpha1 * f.gamma;
    f.alpha0 = f.alpha0 * f.gamma;
    Evaluated<V> e = PowerFocal::evaluate(x, z, f);
    // That factor may exceed 1, so a finite loss may overflow: it saturates. An infinite logit or weight keeps its
    // infinite loss.
    const V largest(Limits<Element<V>>::largest), wild = maximum(absolute(x), f.alpha1 + f.alpha0);
    e.value = select(e.value > largest, maximum(largest, wild), e.value);
    return e;
  }
};

// The focal loss with smoothed labels: the cross entropy takes the target z (1 - second) + second / 2. alpha and the
// focal factor take it as well, unless third is 0: then they take z.
struct SmoothFocal : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const V smooth = mul_add(z, V(1 - f.second), V(f.second / 2)), label = f.third == 0 ? z : smooth;
    const Evaluated<V> factor = focal_factor(x, s, label, f);
    const V bce = cross_entropy(x, s, smooth), p_minus_z = blend(smooth, -s.n, s.p);
    const V weighted = blend(label, f.alpha1, f.alpha0) * factor.value;
    return {weighted * bce, weighted * (f.gamma * (factor.gradient * bce) + p_minus_z)};
  }
};

// alpha_t softplus(-(gamma x_t + second)) / gamma with x_t = (2z - 1) x: the focal loss of two parameters
struct FocalStar : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const V toward = V(between(z, -1, 1)), largest(Limits<Element<V>>::largest);
    const V sum = mul_add(f.gamma * toward, x, V(-f.second)), held = maximum(-largest, minimum(largest, sum));
    const V u = select(absolute(x) <= largest, held, sum);  // a finite logit gives a finite sum
    const Sigmoid<V> s(u);
    const V alpha = blend(z, f.alpha1, f.alpha0);
    return {alpha * softplus(u, s) * reciprocal(f.gamma), alpha * toward * s.p};
  }
};

// Poly-1: the focal loss plus (z alpha1 second + (1 - z) alpha0 third) q^(gamma + 1)
struct PolyFocal : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const Evaluated<V> factor = focal_factor(x, s, z, f);
    const V bce = cross_entropy(x, s, z), q = blend(z, s.n, s.p), p_minus_z = blend(z, -s.n, s.p);
    const V alpha = blend(z, f.alpha1, f.alpha0), slope = V(between(z, -1, 1)) * (s.p * s.n);
    const V epsilon = blend(z, f.alpha1 * V(f.second), f.alpha0 * V(f.third));
    return {factor.value * mul_add(epsilon, q, alpha * bce),
            factor.value *
                mul_add(epsilon * (f.gamma + V(1)), slope, alpha * mul_add(f.gamma, factor.gradient * bce, p_minus_z))};
  }
};

// ---- losses whose target is a quality or a heat map --------------------------------------------------------------

// |z - p|^second BCE
struct QualityFocal : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const V alpha = blend(z, f.alpha1, f.alpha0), bce = cross_entropy(x, s, z);
    const V p_minus_z = blend(z, -s.n, s.p), distance = absolute(p_minus_z);
    const auto log_distance = [&] { return logarithm(distance); };
    const V less = select(distance == V(0), V(0), power(distance, log_distance, f.second - 1));
    const V factor = alpha * power(distance, log_distance, f.second), sign = select(p_minus_z < V(0), V(-1), V(1));
    return {factor * bce, mul_add(factor, p_minus_z, alpha * V(f.second) * (sign * less) * (s.p * s.n * bce))};
  }
};

// sigmoid(u)^exponent softplus(u), and its derivative with respect to u: the loss of a target that a positive u
// contradicts. r is sigmoid(u), other is sigmoid(-u).
template <class V>
IOULOSS_INLINE Evaluated<V> contradiction(V u, const Sigmoid<V>& s, V r, V other, Element<V> exponent) {
  const V cost = softplus(u, s), factor = power(r, [&] { return -softplus(-u, s); }, exponent);
  return {factor * cost, factor * mul_add(V(exponent), other * cost, r)};
}

// z > 0: alpha1 z BCE (or alpha1 BCE, where third is 0); z = 0: alpha0 p^second softplus(x)
struct Varifocal : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const Evaluated<V> negative = contradiction(x, s, s.p, s.n, f.second);
    const V weight = f.alpha1 * (f.third == 0 ? V(1) : z);
    const auto is_positive = z > V(0);
    return {select(is_positive, weight * cross_entropy(x, s, z), f.alpha0 * negative.value),
            select(is_positive, weight * blend(z, -s.n, s.p), f.alpha0 * negative.gradient)};
  }
};

// z = 1: alpha1 n^second softplus(-x); else alpha0 (1 - z)^third p^second softplus(x)
struct GaussianFocal : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    const auto is_peak = z == V(1);
    const Evaluated<V> e =
        contradiction(select(is_peak, -x, x), s, select(is_peak, s.n, s.p), select(is_peak, s.p, s.n), f.second);
    const V away = V(1) - z, fading = power(away, [&] { return logarithm(away); }, f.third);
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

// alpha1 z n^gamma softplus(-x) - alpha0 (1 - z) p_m^second log(1 - p_m) with p_m = max(p - third, 0). The gradient
// includes the derivatives of the two focusing factors, n^gamma and p_m^second, only if `attached`.
template <bool attached>
struct Asymmetric : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V z, const LogitParameters<V>& f) {
    using T = Element<V>;
    const Sigmoid<V> s(x);
    const V of_one = f.alpha1 * z, of_zero = f.alpha0 * (V(1) - z), flat = softplus(-x, s);
    const V focus = exponential(f.gamma * -softplus(x, s));
    const auto shifted = [&](T margin) {
      // Without a margin -log(1 - p_m) is softplus(x), and p n / (1 - p_m) is p. Both are precise where n is small.
      const V pm = positive_part(s.p - V(margin)), rest = s.n + V(margin);
      const V cost = margin == 0 ? softplus(x, s) : select(pm > V(0), -logarithm(rest), V(0));
      const V slope = margin == 0 ? s.p : select(pm > V(0), s.p * s.n * reciprocal(rest), V(0));
      const auto log_pm = [&] { return margin == 0 ? -flat : logarithm(pm); };
      const V factor = power(pm, log_pm, f.second);
      V gradient = factor * slope;
      if constexpr (attached) {
        const V less = select(pm > V(0), power(pm, log_pm, f.second - 1), V(0));
        // Without a margin p n / p_m is n, however small p is.
        const V steep = margin == 0 ? factor * s.n : less * (s.p * s.n);
        gradient = mul_add(V(f.second), cost * steep, gradient);
      }
      return Evaluated<V>{factor * cost, gradient};
    };
    const Evaluated<V> negative = shifted(f.third);
    V positive = focus * s.n;
    if constexpr (attached) positive = focus * mul_add(f.gamma * s.p, flat, s.n);
    return {mul_add(of_one, focus * flat, of_zero * negative.value),
            mul_add(of_zero, negative.gradient, -(of_one * positive))};
  }
};

// The entropy of sigmoid(x), which has no target: softplus(x) - x p
struct BinaryEntropy : OfLogit {
  template <class V>
  static IOULOSS_INLINE Evaluated<V> evaluate(V x, V, const LogitParameters<V>& f) {
    const Sigmoid<V> s(x);
    return {f.alpha0 * mul_add(s.magnitude, minimum(s.p, s.n), s.tail), f.alpha0 * (-x * s.n * s.p)};
  }
};

// Whether a loss has targets. If not, kernels load none.
template <class Formula>
inline constexpr bool has_targets = true;
template <>
inline constexpr bool has_targets<BinaryEntropy> = false;

// Whether a score may stand beside a class index. A varifocal loss has positives whose score is 0, which its kernel
// would take for negatives.
template <class Formula>
inline constexpr bool has_scores = !Formula::has_background;
template <>
inline constexpr bool has_scores<Varifocal> = false;

}  // namespace IOULOSS_ARCH

// The table of losses on one number and its target: the name by which callers choose a loss, and its formula.
#define IOULOSS_LOGIT_FORMULAS(X)             \
  X(square_focal, SquareFocal)                \
  X(focal, PowerFocal)                        \
  X(equalized_focal, EqualizedFocal)          \
  X(smooth_focal, SmoothFocal)                \
  X(focal_star, FocalStar)                    \
  X(poly_focal, PolyFocal)                    \
  X(quality_focal, QualityFocal)              \
  X(varifocal, Varifocal)                     \
  X(gaussian_focal, GaussianFocal)            \
  X(binary_cross_entropy, BinaryCrossEntropy) \
  X(asymmetric, Asymmetric<false>)            \
  X(asymmetric_attached, Asymmetric<true>)    \
  X(binary_entropy, BinaryEntropy)            \
  X(l1, AbsoluteDifference)                   \
  X(l2, SquaredDifference)                    \
  X(smooth_l1, SmoothDifference)              \
  X(balanced_l1, BalancedDifference)          \
  X(focal_l1, FocalDifference)

enum class LogitFormula : int {
#define X(name, formula) name,
  IOULOSS_LOGIT_FORMULAS(X)
#undef X
};

inline constexpr const char* logit_formula_names[] = {
#define X(name, formula) #name,
    IOULOSS_LOGIT_FORMULAS(X)
#undef X
};
inline constexpr int logit_formula_count = sizeof(logit_formula_names) / sizeof(*logit_formula_names);

}  // namespace iouloss
