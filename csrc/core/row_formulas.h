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
// Besides distance and exponential, each class has an `extra`: its probability in the target, or its share of the label
// smoothing. Flags tell a kernel what to load:
// - by_class: each row has a target class;
// - by_two: two classes share the target;
// - dense: each class has a probability in the target, which is its `extra`;
// - by_class_weight: the `extra` of a class is its share of the label smoothing.
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

// The share in the loss that label smoothing gives to each class, before it is multiplied by the weight of the class.
template <class T>
IOULOSS_INLINE T share_of_smoothing(const RowArguments& a) {
  return T(a.options.alpha * a.options.label_smoothing / double(a.classes));
}

// The two bins around a place: the nearer one, and the farther one with its share of the target, which is at most a
// half. A place before the first bin or beyond the last one counts as that bin. Where the farther bin has no share,
// `far` is the nearer bin too. The code has no branches, because places are random and branches could not be predicted.
template <class T>
struct Bins {
  int64_t near, far;
  T far_share;

  explicit IOULOSS_INLINE Bins(T place, int64_t bins) {
    const T last = T(bins - 1);
    const T clamped = place > T(0) ? (place < last ? place : last) : T(0);  // 0 for a NaN
    const int64_t low = int64_t(clamped);
    const T beyond = clamped - T(low);
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

// The loss of a row, and what its gradient is computed from. `power` multiplies the exponential of each class. Each
// formula gives `shift` its own meaning. `target` is the whole gradient of the target class. `other` is added to the
// gradient of the second class.
template <class V>
struct RowResult {
  V value, power, shift, target, other;
};

// Returns `loss`; but infinity if the class of this logit is impossible (its logit is -inf) and has a weight above 0.
template <class V>
IOULOSS_INLINE V unless_impossible(V logit, V weight, V loss) {
  const V infinite = select(weight > V(0), V(__builtin_huge_val()), loss);
  return select(logit < V(-Limits<Scalar<V>>::largest), infinite, loss);
}

// w u^gamma (CE + poly u) for the row's class t, with u = 1 - p_t. This depends on one number only, y =
// logsumexp(logits of the other classes) - x_t: u is sigmoid(y), and CE is softplus(y). So 1 - p_t is never computed as
// a difference. Each other class gets the derivative with respect to y, times its probability among the other classes.
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

  // With smoothing, distances are summed in a small unit. So the sum over finite logits does not overflow, however many
  // there are, and only an impossible class (-inf) makes it infinite.
  static constexpr double unit = smooth ? 0x1p-24 : 1;

  template <class V>
  static IOULOSS_INLINE V below(V m, V x, const RowParameters<Scalar<V>>&) {
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
                                            const RowParameters<Scalar<V>>& p) {
    const V others = sum[0];  // 0, or at least exp(-1/2), since rounding moves m by 1/2 at most
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
    // `slope` is the derivative with respect to y, without that of `smoothed`, which is added below. Where impossible
    // classes make the loss infinite, it leaves out the derivative of the focal factor.
    const V steep = smooth ? select(sum[1] <= V(Limits<Scalar<V>>::largest), weighted, V(0)) : weighted;
    const V slope = mul_add(V(p.gamma), s.n * steep, factor * (s.u * mul_add(poly, s.n, hard)));
    V value = unless_impossible(t.logit, hard * others, weighted);
    if constexpr (smooth) {
      const V infinite = select(factor == V(0), V(0), factor * sum[1]);
      value = select(sum[1] <= V(Limits<Scalar<V>>::largest), value, infinite);
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
                                            const RowParameters<Scalar<V>>& p) {
    RowResult<V> r = ClassTarget<false>::finish(t, m, sum, p);
    const V second = t.weight * t.other_share;
    const V more = mul_add(second, bounded(t.logit - t.other_logit), r.value);
    r.value = unless_impossible(t.other_logit, second, select(second == V(0), r.value, more));
    r.target = r.target + second;
    r.other = -second;
    return r;
  }
};

// 1 / the sum of exponentials, and the logarithm of the sum. Logits that equal the largest are counted instead of
// summed, since their exponential is 1. So the logarithm keeps its precision where one class has nearly all of the
// probability.
template <class V>
struct LogSum {
  V inverse, log;
  IOULOSS_INLINE LogSum(V below_largest, V count)
      : inverse(reciprocal(below_largest + count)), log(log_1_plus_any(below_largest + (count - V(1)))) {}
};

// Adds a class at the distance `below` from the largest logit, with the exponential e.
template <class V>
IOULOSS_INLINE void add_power(V& below_largest, V& count, V below, V e) {
  const auto is_largest = below == V(0);
  below_largest = below_largest + select(is_largest, V(0), e);
  count = count + select(is_largest, V(1), V(0));
}

// The largest logit has grown by `by`, which shrinks the exponentials by the factor e. Unless `by` is 0, the logits
// that were counted are no longer the largest, so they join the sum.
template <class V>
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
  static IOULOSS_INLINE V below(V m, V x, const RowParameters<Scalar<V>>& p) {
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
    sum[2] = mul_add(q, select(absolute(q) < V(Limits<Scalar<V>>::tiny), V(0), cost), sum[2]);
    sum[3] = sum[3] + q;
  }

  template <class V>
  static IOULOSS_INLINE void raise(V (&sum)[sums], V by) {
    raise_power(sum[0], sum[1], by, power(by, by, by));
    sum[2] = mul_add(sum[3], by, sum[2]);
  }

  template <class V>
  static IOULOSS_INLINE RowResult<V> finish(const RowTarget<V>&, V, const V (&sum)[sums],
                                            const RowParameters<Scalar<V>>& p) {
    const LogSum<V> s(sum[0], sum[1]);
    const V t(p.temperature);
    const V value = bounded(t * (t * mul_add(sum[3], s.log, sum[2] * V(1 / unit))));
    return {select(sum[2] <= V(Limits<Scalar<V>>::largest), value, sum[2]), t * (sum[3] * s.inverse), t, V(0), V(0)};
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
  static IOULOSS_INLINE V below(V m, V x, const RowParameters<Scalar<V>>&) {
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
                                            const RowParameters<Scalar<V>>&) {
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
