// The losses on a row of logits.
//
// A kernel goes through a row twice: first for the largest logit and the sums over the classes, then for the gradient.
// A formula measures logits from a number m at or next to the largest. It says:
// - origin(): which number m is, given the largest logit;
// - below(): how far a logit lies below m;
// - power(): the exponential of that distance;
// - add(): what a class adds to the sums;
// - raise(): how the sums change when a larger logit turns up;
// - finish(): the loss, and what the gradient is computed from, given the sums;
// - gradient(): the gradient of a class.
//
// Besides distance and exponential, a class has an `extra`: its probability in the target, or its share of the label
// smoothing. Flags tell a kernel what to load: by_class, that a row has a target class; by_two, that two classes share
// the target; dense, that there is a probability for each class; by_class_weight, that `extra` is the share of the
// smoothing.
#pragma once

#include "log_odds.h"
#include "row_arguments.h"
#include "sigmoid.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T>
struct RowParameters {
  T gamma, poly, hard;  // hard: the weight that label smoothing leaves to the row's class
  T temperature, cold;  // cold: 1 / temperature
};

template <class T>
IOULOSS_INLINE RowParameters<T> row_parameters(const RowArguments& a) {
  const RowOptions<double>& o = a.options;
  return {T(o.gamma), T(o.poly_epsilon), T(1 - o.label_smoothing), T(o.temperature), T(1 / o.temperature)};
}

// The share of each class in the loss that label smoothing gives it, before the classes' weights.
template <class T>
IOULOSS_INLINE T share_of_smoothing(const RowArguments& a) {
  return T(a.options.alpha * a.options.label_smoothing / double(a.classes));
}

// The two bins around a place, which is clamped to lie between the first bin and the last: the nearer bin, and the
// farther one with its share, which is at most a half. Where the farther bin has no share, it is the nearer one again.
// The code has no branches, because places are random and branches could not be predicted.
template <class T>
struct Bins {
  int64_t near, far;
  T far_share;

  explicit IOULOSS_INLINE Bins(T place, int64_t bins) {
    const T last = T(bins - 1);
    const T held = place > T(0) ? (place < last ? place : last) : T(0);  // 0 for a NaN
    const int64_t low = int64_t(held);
    const T beyond = held - T(low);
    const bool up = beyond > T(0.5);
    near = low + up;
    far = low + (!up && beyond > T(0));
    far_share = place != place ? place : up ? T(1) - beyond : beyond;
  }
};

// The target class of a row: its logit, weight and extra; and a second class that shares the target, with its logit and
// its share of the weight.
template <class V>
struct RowTarget {
  V logit, weight, extra;
  V other_logit, other_share;
};

// The loss of a row, and what its gradient is computed from. `power` multiplies the exponential of each class; what
// `shift` means is up to the formula. `target` is all of the gradient of the target class; `other` is added to that of
// the second class.
template <class V>
struct RowResult {
  V value, power, shift, target, other;
};

// `loss`; but infinity, if the class of this logit is impossible (-inf) and has a weight above 0.
template <class V>
IOULOSS_INLINE V unless_impossible(V logit, V weight, V loss) {
  const V infinite = select(weight > V(0), V(__builtin_huge_val()), loss);
  return select(logit < V(-Limits<Element<V>>::largest), infinite, loss);
}

// w u^gamma (CE + poly u) for the row's class t, with u = 1 - p_t. Given the log-sum-exp of the other classes, this
// depends on one number only, y = logsumexp(others) - x_t: u is sigmoid(y), and CE is softplus(y). So 1 - p_t is never
// computed as a difference. The derivative with respect to y is distributed over the other classes by their softmax.
// With smoothing, CE is a blend of the cross entropies of all classes, each with its weight; `extra` is the share of a
// class in that blend. The largest logit and the sums are those of the other classes alone.
template <bool smooth>
struct ClassTarget {
  static constexpr int sums = smooth ? 3 : 1;
  static constexpr bool by_class = true, by_two = false, dense = false, by_class_weight = smooth;

  template <class V>
  static IOULOSS_INLINE V origin(V largest) {
    return nearest_whole(largest);
  }

  // Smoothing sums distances in a small unit. So the sum over finite logits does not overflow, however many there are,
  // and only an impossible class (-inf) makes it infinite.
  static constexpr double unit = smooth ? 0x1p-24 : 1;

  template <class V>
  static IOULOSS_INLINE V below(V m, V x, const RowParameters<Element<V>>&) {
    return smooth ? mul_add(V(-unit), x, V(unit) * m) : m - x;
  }

  template <class V>
  static IOULOSS_INLINE V power(V m, V x, V) {
    return exponential_from_whole(m, x);
  }

  template <class V>
  static IOULOSS_INLINE void add(V (&sum)[sums], V below, V e, V extra) {
    sum[0] = sum[0] + e;
    if constexpr (smooth) {
      sum[1] = mul_add(extra, select(extra > V(0), below, V(0)), sum[1]);
      sum[2] = sum[2] + extra;
    }
  }

  // m has grown by `by`, in the unit of below().
  template <class V>
  static IOULOSS_INLINE void raise(V (&sum)[sums], V by) {
    sum[0] = sum[0] * exponential(by * V(-1 / unit));
    if constexpr (smooth) sum[1] = mul_add(sum[2], by, sum[1]);
  }

  template <class V>
  static IOULOSS_INLINE RowResult<V> finish(const RowTarget<V>& t, V m, const V (&sum)[sums],
                                            const RowParameters<Element<V>>& p) {
    const V others = sum[0];  // 0, or at least exp(-1/2) since m may be rounded
    const LogOdds<V> s(m, t.logit, others);
    const V factor = s.power(p.gamma);
    V hard = t.weight, soft(0), smoothed(0);
    if constexpr (smooth) {
      hard = mul_add(V(p.hard), t.weight, t.extra);
      soft = sum[2];
      const V log_others = logarithm(others);
      smoothed = mul_add(soft, log_others + s.negative(log_others), V(1 / unit) * sum[1]);
    }
    const V poly = t.weight * V(p.poly);
    const V each = bounded(mul_add(hard, s.entropy, smoothed) + poly * s.u);
    const V weighted = factor * each;
    // The derivative with respect to y, except that of `smoothed`, which is added below. Where impossible classes make
    // the loss infinite, the derivative of the focal factor is left out.
    const V steep = smooth ? select(sum[1] <= V(Limits<Element<V>>::largest), weighted, V(0)) : weighted;
    const V slope = mul_add(V(p.gamma), s.n * steep, factor * (s.u * mul_add(poly, s.n, hard)));
    V value = unless_impossible(t.logit, hard * others, weighted);
    if constexpr (smooth) {
      const V infinite = select(factor == V(0), V(0), factor * sum[1]);
      value = select(sum[1] <= V(Limits<Element<V>>::largest), value, infinite);
    }
    return {value, mul_add(factor, s.u * soft, slope) * reciprocal_or_zero(others), factor,
            factor * (s.n * soft) - slope, V(0)};
  }

  template <class V>
  static IOULOSS_INLINE V gradient(V, V e, V extra, const RowResult<V>& r) {
    return smooth ? mul_add(r.power, e, -(r.shift * extra)) : r.power * e;
  }
};

// Distribution focal loss: a blend of the cross entropies of two classes. It is computed as the cross entropy of the
// class with the larger share, plus the other's share of the difference between the two.
struct BinTarget : ClassTarget<false> {
  static constexpr bool by_two = true;

  template <class V>
  static IOULOSS_INLINE RowResult<V> finish(const RowTarget<V>& t, V m, const V (&sum)[sums],
                                            const RowParameters<Element<V>>& p) {
    RowResult<V> r = ClassTarget<false>::finish(t, m, sum, p);
    const V second = t.weight * t.other_share;
    const V more = mul_add(second, bounded(t.logit - t.other_logit), r.value);
    r.value = unless_impossible(t.other_logit, second, select(second == V(0), r.value, more));
    r.target = r.target + second;
    r.other = -second;
    return r;
  }
};

// The sum of exponentials and its logarithm. Logits that equal the largest are counted instead of summed, since their
// exponential is 1. So the logarithm keeps its precision where one class has nearly all of the probability.
template <class V>
struct LogSum {
  V inverse, log;
  IOULOSS_INLINE LogSum(V below_largest, V count)
      : inverse(reciprocal(below_largest + count)), log(log_1_plus_any(below_largest + (count - V(1)))) {}
};

template <class V>
// Adds a class at the distance `below` from the largest logit, with the exponential e.
IOULOSS_INLINE void add_power(V& below_largest, V& count, V below, V e) {
  const auto is_largest = below == V(0);
  below_largest = below_largest + select(is_largest, V(0), e);
  count = count + select(is_largest, V(1), V(0));
}

template <class V>
// The largest logit has grown by `by`, and e = exp(-by). What was counted before is no longer the largest, unless by is
// 0.
IOULOSS_INLINE void raise_power(V& below_largest, V& count, V by, V e) {
  const auto same = by == V(0);
  below_largest = select(same, below_largest, (below_largest + count) * e);
  count = select(same, count, V(0));
}

// These formulas measure from the largest logit itself, not from a rounded number: a distance of 0 marks the largest
// logit.
struct FromLargest {
  template <class V>
  static IOULOSS_INLINE V origin(V largest) {
    return largest;
  }

  template <class V>
  static IOULOSS_INLINE V power(V, V, V below) {
    return exponential(-below);
  }
};

// T^2 times the divergence of softmax(x / T) from the target's probabilities q: sum q log(q / p).
struct KLDivergence : FromLargest {
  static constexpr int sums = 4;
  static constexpr bool by_class = false, by_two = false, dense = true, by_class_weight = false;

  // Distances are in a small unit: see ClassTarget.
  static constexpr double unit = 0x1p-64;

  template <class V>
  static IOULOSS_INLINE V below(V m, V x, const RowParameters<Element<V>>& p) {
    return mul_add(V(-unit), x, V(unit) * m) * V(p.cold);
  }

  template <class V>
  static IOULOSS_INLINE V power(V, V, V below) {
    return exponential(below * V(-1 / unit));
  }

  template <class V>
  static IOULOSS_INLINE void add(V (&sum)[sums], V below, V e, V q) {
    add_power(sum[0], sum[1], below, e);
    const V cost = mul_add(logarithm(q), V(unit), below);
    sum[2] = mul_add(q, select(absolute(q) < V(Limits<Element<V>>::tiny), V(0), cost), sum[2]);
    sum[3] = sum[3] + q;
  }

  template <class V>
  static IOULOSS_INLINE void raise(V (&sum)[sums], V by) {
    raise_power(sum[0], sum[1], by, power(by, by, by));
    sum[2] = mul_add(sum[3], by, sum[2]);
  }

  template <class V>
  static IOULOSS_INLINE RowResult<V> finish(const RowTarget<V>&, V, const V (&sum)[sums],
                                            const RowParameters<Element<V>>& p) {
    const LogSum<V> s(sum[0], sum[1]);
    const V t(p.temperature);
    const V value = bounded(t * (t * mul_add(sum[3], s.log, sum[2] * V(1 / unit))));
    return {select(sum[2] <= V(Limits<Element<V>>::largest), value, sum[2]), t * (sum[3] * s.inverse), t, V(0), V(0)};
  }

  template <class V>
  static IOULOSS_INLINE V gradient(V, V e, V q, const RowResult<V>& r) {
    return mul_add(r.power, e, -(r.shift * q));
  }
};

// The entropy of softmax(x): log-sum-exp - sum p x.
struct Entropy : FromLargest {
  static constexpr int sums = 3;
  static constexpr bool by_class = false, by_two = false, dense = false, by_class_weight = false;

  template <class V>
  static IOULOSS_INLINE V below(V m, V x, const RowParameters<Element<V>>&) {
    return bounded_above(m - x);
  }

  template <class V>
  static IOULOSS_INLINE void add(V (&sum)[sums], V below, V e, V) {
    add_power(sum[0], sum[1], below, e);
    sum[2] = mul_add(e, below, sum[2]);
  }

  template <class V>
  static IOULOSS_INLINE void raise(V (&sum)[sums], V by) {
    const V e = exponential(-by);
    sum[2] = mul_add(sum[0] + sum[1], by * e, sum[2] * e);  // by * e is finite, because below() is bounded
    raise_power(sum[0], sum[1], by, e);
  }

  template <class V>
  static IOULOSS_INLINE RowResult<V> finish(const RowTarget<V>&, V, const V (&sum)[sums],
                                            const RowParameters<Element<V>>&) {
    const LogSum<V> s(sum[0], sum[1]);
    const V mean = sum[2] * s.inverse;
    return {s.log + mean, s.inverse, mean, V(0), V(0)};
  }

  template <class V>
  static IOULOSS_INLINE V gradient(V below, V e, V, const RowResult<V>& r) {
    return r.power * (e * (below - r.shift));
  }
};

// Calls f with the formula that the arguments ask for.
template <class F>
IOULOSS_INLINE auto with_row_formula(const RowArguments& a, F f) {
  if (a.formula == RowFormula::kl_div) return f(KLDivergence());
  if (a.formula == RowFormula::entropy) return f(Entropy());
  if (a.formula == RowFormula::distribution_focal) return f(BinTarget());
  if (a.options.label_smoothing > 0) return f(ClassTarget<true>());
  return f(ClassTarget<false>());
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
