// The losses on a pair of boxes: sums of terms, each with its value and its derivatives.
// A new loss is a new term or a new sum, and one line in the table: box_table.h.
#pragma once

#include "box.h"
#include "box_table.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class V>
struct Parameters : BoxOptions<V> {
  V eps;         // added to a ratio
  V area_eps;    // added to an area or a squared length, so it is scaled with the boxes
  V length_eps;  // added to a length, so it is scaled as well

  IOULOSS_INLINE Parameters(V eps_, const BoxOptions<V>& options)
      : BoxOptions<V>(options), eps(eps_), area_eps(eps_), length_eps(eps_) {}

  // Adapts the eps to boxes that were multiplied by `scale`.
  IOULOSS_INLINE void rescale(V scale) {
    area_eps = area_eps * scale * scale;  // in this order: scale * scale would underflow to 0
    length_eps = length_eps * scale;
  }
};

// A term or a loss is a struct whose evaluate() returns its value and adds its derivatives to `d`. Where a caller does
// not use the derivatives, the compiler removes them.

// ---- terms of the IoU --------------------------------------------------------------------------------------------

// Adds the derivatives of a function of the IoU, given its derivative with respect to the IoU.
template <class V>
IOULOSS_INLINE void add_iou_gradient(const Pair<V>& b, V by_iou, Partials<V>& d) {
  d.area = d.area - by_iou * b.iou * b.union_reciprocal;
  d.intersection = d.intersection + by_iou * (V(1) + b.iou) * b.union_reciprocal;
}

// 1 - IoU
struct LinearIoU {
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>&, Partials<V>& d) {
    add_iou_gradient(b, V(-1), d);
    return V(1) - b.iou;
  }
};

// -ln max(IoU, eps). The gradient is 0 where the IoU does not exceed eps.
struct LogIoU {
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>& p, Partials<V>& d) {
    add_iou_gradient(b, select(b.iou > p.eps, -reciprocal_or_zero(b.iou), V(0)), d);
    return -logarithm(maximum(b.iou, p.eps));
  }
};

// 1 - IoU^2
struct SquareIoU {
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>&, Partials<V>& d) {
    add_iou_gradient(b, V(-2) * b.iou, d);
    return V(1) - b.iou * b.iou;
  }
};

// ---- other terms -------------------------------------------------------------------------------------------------

// (C - U) / (C + eps): the part of the enclosing box C that neither box fills
struct EnclosingGap {
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>& p, Partials<V>& d) {
    const V area = b.cw * b.ch;
    const V reciprocal = reciprocal_or_zero(area + p.area_eps);
    const V gap = quotient(area - b.union_area, area + p.area_eps, reciprocal);
    const V by_area = (V(1) - gap) * reciprocal;
    d.cw = mul_add(by_area, b.ch, d.cw);
    d.ch = mul_add(by_area, b.cw, d.ch);
    d.area = d.area - reciprocal;  // the union is area of pred + area of target - intersection
    d.intersection = d.intersection + reciprocal;
    return gap;
  }
};

// rho^2 / (c^2 + eps): the squared distance of the centres over the squared diagonal of the enclosing box
struct CentreDistance {
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>& p, Partials<V>& d) {
    const V dx = b.a1 + b.a2, dy = b.b1 + b.b2;  // twice the distance of the centres along each axis
    const V reciprocal = reciprocal_of_positive(mul_add(b.cw, b.cw, mul_add(b.ch, b.ch, p.area_eps)));
    const V ratio = mul_add(dx, dx, dy * dy) * (V(0.25) * reciprocal);
    const V half = V(0.5) * reciprocal;  // a centre moves half as fast as an edge
    const V by_dx = dx * half, by_dy = dy * half, by_square = V(-2) * ratio * reciprocal;
    d.a1 = d.a1 + by_dx;
    d.a2 = d.a2 + by_dx;
    d.b1 = d.b1 + by_dy;
    d.b2 = d.b2 + by_dy;
    d.cw = mul_add(by_square, b.cw, d.cw);
    d.ch = mul_add(by_square, b.ch, d.ch);
    return ratio;
  }
};

// alpha v: v = (4 / pi^2) (atan(W / H) - atan(w / h))^2, alpha = v / (1 - IoU + v + eps). The gradient treats alpha as
// a constant. A flat box (h = 0) has the angle of an infinitely wide one; a point has the angle 0.
struct AspectRatio {
  template <class V>
  struct Terms {
    V delta, v, alpha;
    IOULOSS_INLINE Terms(const Pair<V>& b, const Parameters<V>& p) {
      // The difference of the two angles is computed as one arctangent. So it is exactly 0 for equal ratios, and there
      // are no two angles that could cancel.
      const V h = select(b.w == V(0), select(b.h == V(0), V(1), b.h), b.h);
      const V H = select(b.W == V(0), select(b.H == V(0), V(1), b.H), b.H);
      const V sign = select((h < V(0)) != (H < V(0)), V(-1), V(1));
      delta = arctangent2(sign * (b.W * h - b.w * H), sign * mul_add(H, h, b.W * b.w));
      v = V(0.405284734569351086) * delta * delta;
      const V denominator = (V(1) - b.iou) + v + p.eps;
      alpha = v * reciprocal_or_zero(denominator);
    }
  };
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>& p, Partials<V>& d) {
    const Terms<V> t(b, p);
    const V k = V(0.810569469138702171) * t.alpha * t.delta * reciprocal_of_positive(mul_add(b.w, b.w, b.h * b.h));
    d.w = mul_add(-k, b.h, d.w);
    d.h = mul_add(k, b.w, d.h);
    return t.alpha * t.v;
  }
};

// (w - W)^2 / (cw^2 + eps) + (h - H)^2 / (ch^2 + eps)
struct SideLengths {
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>& p, Partials<V>& d) {
    return evaluate_side(b.w - b.W, b.cw, p.area_eps, d.w, d.cw) +
           evaluate_side(b.h - b.H, b.ch, p.area_eps, d.h, d.ch);
  }
  template <class V>
  static IOULOSS_INLINE V evaluate_side(V difference, V enclosing, V eps, V& by_side, V& by_enclosing) {
    const V reciprocal = reciprocal_of_positive(mul_add(enclosing, enclosing, eps));
    const V ratio = difference * difference * reciprocal, twice = V(2) * reciprocal;
    by_side = mul_add(difference, twice, by_side);
    by_enclosing = mul_add(-ratio * twice, enclosing, by_enclosing);
    return ratio;
  }
};

// lambda S / (4 c): the mean distance of corresponding corners over the diagonal of the enclosing box. Corners that
// coincide add nothing to the gradient.
struct CornerDistance {
  template <class V>
  static IOULOSS_INLINE V distance(V x, V y) {
    return square_root(x * x + y * y);
  }
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>& p, Partials<V>& d) {
    const V top_left = distance(b.a1, b.b1), top_right = distance(b.a2, b.b1);
    const V bottom_left = distance(b.a1, b.b2), bottom_right = distance(b.a2, b.b2);
    const V per_diagonal = reciprocal_or_zero(distance(b.cw, b.ch));
    const V scale = V(0.25) * p.lambda_ * per_diagonal;
    const V ratio = ((top_left + top_right) + (bottom_left + bottom_right)) * scale;
    const V tl = scale * reciprocal_or_zero(top_left), tr = scale * reciprocal_or_zero(top_right);
    const V bl = scale * reciprocal_or_zero(bottom_left), br = scale * reciprocal_or_zero(bottom_right);
    d.a1 = mul_add(b.a1, tl + bl, d.a1);
    d.a2 = mul_add(b.a2, tr + br, d.a2);
    d.b1 = mul_add(b.b1, tl + tr, d.b1);
    d.b2 = mul_add(b.b2, bl + br, d.b2);
    const V by_square = -ratio * per_diagonal * per_diagonal;
    d.cw = mul_add(by_square, b.cw, d.cw);
    d.ch = mul_add(by_square, b.ch, d.ch);
    return ratio;
  }
};

// (2 - e^(-gamma x) - e^(-gamma y)) / 2 of x = dx^2 / (cw^2 + eps) and y alike, where dx is the distance of the centres
// and gamma = 2 - sin(2 alpha), with alpha the angle of the line between the centres. It pulls a box to the nearer
// axis.
struct AngleDistance {
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>& p, Partials<V>& d) {
    const V dx = V(0.5) * (b.a1 + b.a2), dy = V(0.5) * (b.b1 + b.b2), x = absolute(dx), y = absolute(dy);
    const V per_square =
        reciprocal_or_zero(mul_add(dx, dx, dy * dy));  // 0 at equal centres, where x and y are 0 as well
    const V gamma = V(2) - V(2) * (x * per_square) * y;
    const Axis<V> of_x(dx, b.cw, gamma, p.area_eps), of_y(dy, b.ch, gamma, p.area_eps);
    const V by_gamma = mul_add(of_x.fading, of_x.ratio, of_y.fading * of_y.ratio);
    const V turn = V(2) * by_gamma * ((x - y) * ((x + y) * per_square));
    of_x.add(gamma, toward(dx, turn * (y * per_square)), b.cw, d.a1, d.a2, d.cw);
    of_y.add(gamma, toward(dy, -turn * (x * per_square)), b.ch, d.b1, d.b2, d.ch);
    return V(0.5) * ((V(1) - of_x.fading) + (V(1) - of_y.fading));
  }

 private:
  // `slope` with the sign of `x`; 0 where x is 0.
  template <class V>
  static IOULOSS_INLINE V toward(V x, V slope) {
    return select(x > V(0), slope, select(x < V(0), -slope, V(0)));
  }

  template <class V>
  struct Axis {
    V by_square, ratio, fading, distance;
    IOULOSS_INLINE Axis(V distance_, V enclosing, V gamma, V eps) : distance(distance_) {
      by_square = reciprocal_of_positive(mul_add(enclosing, enclosing, eps));
      ratio = distance * distance * by_square;
      fading = exponential(-(gamma * ratio));
    }
    // Adds what the distance does to the ratio, and `by_angle`, which it does to gamma: a centre moves half as fast as
    // an edge, and the term has a factor of one half.
    IOULOSS_INLINE void add(V gamma, V by_angle, V enclosing, V& by_low, V& by_high, V& by_enclosing) const {
      const V by_ratio = gamma * fading * by_square;
      const V by_edge = V(0.25) * mul_add(V(2) * by_ratio, distance, by_angle);
      by_low = by_low + by_edge;
      by_high = by_high + by_edge;
      by_enclosing = by_enclosing - by_ratio * ratio * enclosing;
    }
  };
};

// ((1 - e^-x)^theta + (1 - e^-y)^theta) / 2 of x = |w - W| / max(w, W), and y of the heights
struct ShapeCost {
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>& p, Partials<V>& d) {
    return evaluate_side(b.w, b.W, p.theta, d.w) + evaluate_side(b.h, b.H, p.theta, d.h);
  }
  template <class V>
  static IOULOSS_INLINE V evaluate_side(V side, V other, V theta, V& by_side) {
    const V difference = side - other, size = absolute(side), longer = maximum(size, absolute(other));
    const V reciprocal = reciprocal_or_zero(longer), x = absolute(difference) * reciprocal;
    const V fading = exponential(-x), cost = V(1) - fading, half = V(0.5) * exponential(theta * logarithm(cost));
    const V by_x = theta * half * reciprocal_or_zero(cost) * fading;
    // The longer side divides: where that is `side`, it makes x smaller as it grows.
    const V shrinking = share_of_maximum(size - absolute(other)) * select(side < V(0), -x, x);
    const V growing = select(difference > V(0), V(1), select(difference < V(0), V(-1), V(0)));
    by_side = mul_add(by_x * reciprocal, growing - shrinking, by_side);
    return half;
  }
};

// ---- losses ------------------------------------------------------------------------------------------------------

template <class... Terms>
struct Sum {
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>& p, Partials<V>& d) {
    return (... + Terms::evaluate(b, p, d));
  }
};

using GIoU = Sum<LinearIoU, EnclosingGap>;
using DIoU = Sum<LinearIoU, CentreDistance>;
using CIoU = Sum<LinearIoU, CentreDistance, AspectRatio>;
using EIoU = Sum<LinearIoU, CentreDistance, SideLengths>;
using SIoU = Sum<LinearIoU, AngleDistance, ShapeCost>;
template <class Base>
using CDIoU = Sum<Base, CornerDistance>;

// IoU^gamma EIoU. The gradient treats the weight IoU^gamma as a constant.
struct FocalEIoU {
  template <class V>
  static IOULOSS_INLINE V weight(const Pair<V>& b, const Parameters<V>& p) {
    return exponential(p.gamma * logarithm(b.iou));
  }
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>& p, Partials<V>& d) {
    Partials<V> e;
    const V k = weight(b, p), loss = EIoU::evaluate(b, p, e);
    d = {e.area * k, e.intersection * k, e.w * k, e.h * k, e.cw * k, e.ch * k, e.a1 * k, e.a2 * k, e.b1 * k, e.b2 * k};
    return k * loss;
  }
};

// The sum over both axes of the smooth L1 of two numbers:
// - 1 - max((W - 2|dx|) / (W + 2|dx| + eps), 0), where dx is the distance of the centres and W the target's side;
// - 1 - min(W / (w + eps), w / (W + eps)), where w is pred's side.
// Each is 1 minus the IoU that the boxes would have if pred differed from the target in one thing only: its position
// along the axis, or its size along the axis. The target is the second box, or the first one if `swapped`.
template <bool swapped>
struct BoundedIoU {
  // 1 - n / d, computed as rest / d. The caller computes rest = d - n such that nothing cancels. Where d is 0, n / d
  // counts as 0. Where the quotient overflows, the result is infinite, because quotient() would give NaN.
  template <class V>
  struct Remainder {
    V reciprocal, value;
    IOULOSS_INLINE Remainder(V rest, V d) : reciprocal(reciprocal_or_zero(d)) {
      const V estimate = rest * reciprocal, largest(Limits<Scalar<V>>::largest);
      const V finite = select(absolute(estimate) <= largest, quotient(rest, d, reciprocal), estimate);
      value = select(reciprocal == V(0), V(1), finite);
    }
  };
  template <class V>
  static IOULOSS_INLINE V evaluate(const Pair<V>& b, const Parameters<V>& p, Partials<V>& d) {
    return evaluate_axis(b.a1 + b.a2, b.w, b.W, p, d.a1, d.a2, d.w) +
           evaluate_axis(b.b1 + b.b2, b.h, b.H, p, d.b1, d.b2, d.h);
  }
  // The loss of one axis, given twice the distance of the centres, and the sides of the first and of the second box.
  template <class V>
  static IOULOSS_INLINE V evaluate_axis(V distance, V side, V other, const Parameters<V>& p, V& by_low, V& by_high,
                                        V& by_side) {
    const V of_place = evaluate_place(distance, swapped ? side : other, p, by_low, by_high, by_side);
    return of_place + evaluate_side(side, other, p, by_side);
  }
  template <class V>
  static IOULOSS_INLINE V evaluate_place(V distance, V target, const Parameters<V>& p, V& by_low, V& by_high,
                                         V& by_side) {
    const V apart = absolute(distance);
    const Remainder<V> r(mul_add(V(2), apart, p.length_eps), (target + apart) + p.length_eps);
    const V ratio = (target - apart) * r.reciprocal;  // a negative ratio counts as 0
    V slope;
    const V loss = smooth_l1(select(ratio > V(0), r.value, V(1)), p.beta, slope);
    slope = slope * share_of_maximum(ratio) * r.reciprocal;
    const V away = slope * (V(2) - r.value);
    const V by_distance = select(distance > V(0), away, select(distance < V(0), -away, V(0)));
    by_low = by_low + by_distance;
    by_high = by_high + by_distance;
    if constexpr (swapped) by_side = by_side - slope * r.value;
    return loss;
  }
  template <class V>
  static IOULOSS_INLINE V evaluate_side(V side, V other, const Parameters<V>& p, V& by_side) {
    const V longer = side - other;
    const Remainder<V> large(p.length_eps + longer, side + p.length_eps),
        small(p.length_eps - longer, other + p.length_eps);
    const V share = share_of_maximum(large.value - small.value);
    V slope;
    const V loss = smooth_l1(maximum(large.value, small.value), p.beta, slope);
    const V by_large = other * large.reciprocal * large.reciprocal;
    by_side = mul_add(slope, share * by_large - (V(1) - share) * small.reciprocal, by_side);
    return loss;
  }
};

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
