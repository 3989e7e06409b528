// The losses on a row of logits.
//
// A row is gone through twice: for its largest logit and sums over the classes; and for the gradient. A formula says
// from which number m beside the largest logit it measures (origin), what is summed of each class (add), what becomes
// of the sums where a larger logit turns up (raise), what follows from them (finish), and the gradient of a class
// (gradient). It is told of a class how far its logit lies below m, the exponential of that (power), and `extra`: the
// class's probability in the target, or its share of the smoothing.
#pragma once

#include "log_odds.h"
#include "logit_formulas.h"
#include "row_arguments.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T>
struct RowParameters {
  T gamma, poly, hard;  // hard: what label smoothing leaves to the row's class
  T temperature, cold;  // cold: 1 / temperature
};

template <class T>
IOULOSS_INLINE RowParameters<T> row_parameters(const RowArguments& a) {
  return {T(a.gamma), T(a.poly), T(1 - a.smoothing), T(a.temperature), T(1 / a.temperature)};
}

// The share of each other class in the loss, before the classes' weights.
template <class T>
IOULOSS_INLINE T share_of_smoothing(const RowArguments& a) {
  return T(a.alpha * a.smoothing / double(a.classes));
}

// The two bins about a place, which is held between the first and the last: the nearer one, and the share of the other,
// at most a half. The other one is the nearer one again where it has no share. Without branches: places are random.
template <class T>
struct Bins {
  int64_t near, far;
  T far_share;

  explicit IOULOSS_INLINE Bins(T place, int64_t bins) {
    const T last = T(bins - 1);
    const T held = place > T(0) ? (place < last ? place : last) : T(0);  // of a NaN 0
    const int64_t low = int64_t(held);
    const T beyond = held - T(low);
    const bool up = beyond > T(0.5);
    near = low + up;
    far = low + (!up && beyond > T(0));
    far_share = place != place ? place : up ? T(1) - beyond : beyond;
  }
};

// What a row is told of its target class: the logit there; and of a second class, whose logit and share it knows.
template <class V>
struct RowTarget {
  V logit, weight, extra;      // extra: as above, of this class
  V other_logit, other_share;  // of the weight
};

// The loss of a row, and what the gradient is made of: `power` multiplies the exponential of each class, `shift` is the
// formula's own. The target class has a gradient of its own; that of the other one is added to.
template <class V>
struct RowResult {
  V value, power, shift, target, other;
};

// The loss where a class of this logit has this weight: infinite, if the class is impossible and the weight is not 0.
template <class V>
IOULOSS_INLINE V unless_impossible(V logit, V weight, V loss) {
  const V infinite = select(weight > V(0), V(__builtin_huge_val()), loss);
  return select(logit < V(-Limits<Element<V>>::largest), infinite, loss);
}

// w u^gamma (CE + poly u) for the row's class t, with u = 1 - p_t. Given the others' log-sum-exp this is a loss of one
// number, y = logsumexp(others) - x_t: u is sigmoid(y), and CE softplus(y). No 1 - p_t is ever formed, and the gradient
// of the others is that by y, dealt out by their softmax. With smoothing, CE blends the cross entropies of all classes,
// each with its weight; a class's extra is its share of that. A second class makes of w CE the blend of two (DFL); it
// is the one with the smaller share. The largest logit is that of the others, and they alone are summed.
template <bool smooth>
struct ClassTarget {
  static constexpr int sums = smooth ? 3 : 1;
  static constexpr bool by_class = true, by_two = false, dense = false, by_class_weight = smooth;

  template <class V>
  static IOULOSS_INLINE V origin(V largest) {
    return nearest_whole(largest);
  }

  // The distances that smoothing sums are of a small unit: those of finite logits do not overflow, however many there
  // are, and only an impossible class (-inf) makes the sum infinite.
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

  // m is larger by `by`, which is what below() says.
  template <class V>
  static IOULOSS_INLINE void raise(V (&sum)[sums], V by) {
    sum[0] = sum[0] * exponential(by * V(-1 / unit));
    if constexpr (smooth) sum[1] = mul_add(sum[2], by, sum[1]);
  }

  template <class V>
  static IOULOSS_INLINE RowResult<V> finish(const RowTarget<V>& t, V m, const V (&sum)[sums],
                                            const RowParameters<Element<V>>& p) {
    const V others = sum[0];  // 0, or at least exp(-1/2)
    const LogOdds<V> s(m, t.logit, others);
    const V factor = s.power(p.gamma);
    V hard = t.weight, soft(0), smoothed(0);
    if constexpr (smooth) {
      hard = mul_add(V(p.hard), t.weight, t.extra);
      soft = sum[2];
      const V log_others = logarithm(others);
      smoothed = mul_add(soft, log_others + s.negative(log_others), V(1 / unit) * sum[1]);  // nothing in it is negative
    }
    const V poly = t.weight * V(p.poly);
    const V each = bounded(mul_add(hard, s.entropy, smoothed) + poly * s.u);
    const V weighted = factor * each;
    // By y, but for `smoothed`. Where impossible classes make the loss infinite, the focal factor has no derivative.
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

// The cross entropies of two classes, blended: that of the one with the larger share, and the other's difference from
// it.
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

// The exponentials are summed without those of the largest logit, which are counted: so that the sum's logarithm keeps
// its precision where one class has nearly all.
template <class V>
struct LogSum {
  V inverse, log;
  IOULOSS_INLINE LogSum(V below_largest, V count)
      : inverse(reciprocal(below_largest + count)), log(log_1_plus_any(below_largest + (count - V(1)))) {}
};

template <class V>
IOULOSS_INLINE void add_power(V& below_largest, V& count, V below, V e) {
  const auto is_largest = below == V(0);
  below_largest = below_largest + select(is_largest, V(0), e);
  count = count + select(is_largest, V(1), V(0));
}

template <class V>
IOULOSS_INLINE void raise_power(V& below_largest, V& count, V by, V e) {
  const auto same = by == V(0);
  below_largest = select(same, below_largest, (below_largest + count) * e);
  count = select(same, count, V(0));
}

// Distances from the largest logit itself, since it is known by having none.
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

  // Distances are of a small unit: see ClassTarget.
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
    sum[2] = mul_add(sum[0] + sum[1], by * e, sum[2] * e);  // by * e is never infinite
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

// Calls f with the formula of a call.
template <class F>
IOULOSS_INLINE auto with_row_formula(const RowArguments& a, F f) {
  if (a.formula == RowFormula::kl_div) return f(KLDivergence());
  if (a.formula == RowFormula::entropy) return f(Entropy());
  if (a.formula == RowFormula::distribution) return f(BinTarget());
  if (a.smoothing > 0) return f(ClassTarget<true>());
  return f(ClassTarget<false>());
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
