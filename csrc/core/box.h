// Boxes, their formats, and the quantities that every loss on a pair of boxes is computed from.
#pragma once

#include "number.h"

namespace iouloss {

enum class BoxFormat : int { xyxy, xywh, cxcywh };

inline namespace IOULOSS_ARCH {

// Four numbers in the order of a tensor's row: a box in some format, or the gradient with respect to one.
template <class V>
struct Row4 {
  V c0, c1, c2, c3;
};

template <class V>
IOULOSS_INLINE Row4<V> operator*(const Row4<V>& r, V s) {
  return {r.c0 * s, r.c1 * s, r.c2 * s, r.c3 * s};
}

// Two boxes as a loss sees them. All lengths are differences of coordinates, so boxes far from the origin lose no
// precision.
template <class V>
struct Pair {
  V w, h, W, H;                         // sides of pred and of target
  V a1, a2, b1, b2;                     // pred - target: left, right, top and bottom edge
  V iw, ih;                             // sides of the intersection; not positive where there is none
  V cw, ch;                             // sides of the smallest box around both
  V union_area, union_reciprocal, iou;  // 1 / (union + eps), intersection / (union + eps)

  // An upper bound of every length above, since the other lengths are sums and differences of these six. It is NaN or
  // infinite if a coordinate is.
  IOULOSS_INLINE V extent() const {
    return absolute(w) + absolute(h) + absolute(W) + absolute(H) + absolute(a1) + absolute(b1);
  }
};

// One axis of two boxes given by corners. Minimum and maximum do not round, so edges that touch give an intersection of
// exactly 0.
template <class V>
IOULOSS_INLINE void measure_corners(V x1, V x2, V X1, V X2, V& w, V& W, V& a1, V& a2, V& iw, V& cw) {
  w = x2 - x1;
  W = X2 - X1;
  a1 = x1 - X1;
  a2 = x2 - X2;
  iw = minimum(x2, X2) - maximum(x1, X1);
  cw = maximum(x2, X2) - minimum(x1, X1);
}

// One axis of two boxes given by sizes. The sizes are used directly, since a detour through the corners would round
// them.
template <class V>
IOULOSS_INLINE void measure_sizes(V w_, V W_, V left, V& w, V& W, V& a1, V& a2, V& iw, V& cw) {
  w = w_;
  W = W_;
  a1 = left;
  a2 = left + (w - W);
  iw = w - positive_part(a2) - positive_part(-a1);
  cw = w + positive_part(-a2) + positive_part(a1);
}

// All of a pair that does not depend on eps; measure_overlap() adds the rest.
template <class V>
IOULOSS_INLINE Pair<V> measure(const Row4<V>& p, const Row4<V>& t, BoxFormat format) {
  Pair<V> b;
  if (format == BoxFormat::xyxy) {
    measure_corners(p.c0, p.c2, t.c0, t.c2, b.w, b.W, b.a1, b.a2, b.iw, b.cw);
    measure_corners(p.c1, p.c3, t.c1, t.c3, b.h, b.H, b.b1, b.b2, b.ih, b.ch);
  } else {
    V left = p.c0 - t.c0, top = p.c1 - t.c1;
    if (format == BoxFormat::cxcywh) {
      left = mul_add(V(-0.5), p.c2 - t.c2, left);
      top = mul_add(V(-0.5), p.c3 - t.c3, top);
    }
    measure_sizes(p.c2, t.c2, left, b.w, b.W, b.a1, b.a2, b.iw, b.cw);
    measure_sizes(p.c3, t.c3, top, b.h, b.H, b.b1, b.b2, b.ih, b.ch);
  }
  return b;
}

template <class V>
IOULOSS_INLINE void measure_overlap(Pair<V>& b, V area_eps) {
  const V intersection = positive_part(b.iw) * positive_part(b.ih);
  b.union_area = (b.w * b.h + b.W * b.H) - intersection;
  const V denominator = b.union_area + area_eps;
  b.union_reciprocal = reciprocal_or_zero(denominator);
  b.iou = quotient(intersection, denominator, b.union_reciprocal);
}

// The derivatives of a loss with respect to the area of pred, the intersection and the quantities in Pair. A formula
// adds to them, and to_gradient() carries them on to pred by the chain rule. They start at -0, not at 0: adding -0
// changes no number, not even -0 itself, so a compiler can remove the first addition.
template <class V>
struct Partials {
  V area = V(-0.0), intersection = V(-0.0);
  V w = V(-0.0), h = V(-0.0), cw = V(-0.0), ch = V(-0.0), a1 = V(-0.0), a2 = V(-0.0), b1 = V(-0.0), b2 = V(-0.0);
};

// The derivative with respect to an edge of pred. Of pred's edge and target's, the inner one bounds the intersection,
// and the outer one bounds the enclosing box. So pred's edge gets `intersection` where it is the inner one (difference
// > 0), `enclosing` where it is the outer one, and half of each at a tie.
template <class V>
IOULOSS_INLINE V by_edge(V difference, V intersection, V enclosing) {
  return mul_add(share_of_maximum(difference), intersection - enclosing, enclosing);
}

// The gradient with respect to the corners of pred. At pred == target it is exactly 0. The terms that come from areas
// cancel there: each is a single product of a derivative and a side, so all are rounded alike. The other terms are 0
// there.
template <class V>
IOULOSS_INLINE Row4<V> to_corners(const Pair<V>& b, const Partials<V>& d) {
  const V w = mul_add(d.area, b.h, d.w), h = mul_add(d.area, b.w, d.h);
  // Strictly above 0: boxes that only touch do not intersect, so the intersection adds nothing to their gradient.
  const V iw = d.intersection * select(b.iw > V(0), positive_part(b.ih), V(0));
  const V ih = d.intersection * select(b.ih > V(0), positive_part(b.iw), V(0));
  return {
      d.a1 - (w + by_edge(b.a1, iw, d.cw)),
      d.b1 - (h + by_edge(b.b1, ih, d.ch)),
      d.a2 + (w + by_edge(-b.a2, iw, d.cw)),
      d.b2 + (h + by_edge(-b.b2, ih, d.ch)),
  };
}

template <class V>
IOULOSS_INLINE Row4<V> to_gradient(const Pair<V>& b, const Partials<V>& d, BoxFormat format) {
  const Row4<V> g = to_corners(b, d);
  if (format == BoxFormat::xyxy) [[likely]]
    return g;
  if (format == BoxFormat::xywh) return {g.c0 + g.c2, g.c1 + g.c3, g.c2, g.c3};
  return {g.c0 + g.c2, g.c1 + g.c3, (g.c2 - g.c0) * V(0.5), (g.c3 - g.c1) * V(0.5)};
}

// ---- finite in, finite out ---------------------------------------------------------------------------------------

template <class V>
IOULOSS_INLINE auto is_safe(V extent) {
  return extent < V(Limits<Scalar<V>>::safe_extent);
}

// The factor that scales a pair which is not safe, given its extent times `measuring`. It shrinks the boxes no further
// than the products of their lengths need, so that small lengths are not lost. In float32 only lengths below about
// 2^-120 of the extent are lost even so: their squares are below Limits::tiny.
template <class T>
IOULOSS_INLINE T scale_of_extent(T extent) {
  using Of = Limits<T>;
  if (!(extent <= T(Of::largest))) return T(Of::measuring);
  return power_of_2_to(extent, Of::scaled_exponent) * T(Of::measuring);
}

// A result that still overflowed saturates, and a NaN that came from finite boxes becomes 0. A NaN or infinite
// coordinate, which shows in the extent, gives NaN.
template <class V>
IOULOSS_INLINE V tamed(V result, V extent) {
  const V largest = V(Limits<Scalar<V>>::largest);
  V finite = select(result > largest, largest, select(result < -largest, -largest, result));
  finite = select(finite == finite, finite, V(0));
  return select(extent <= largest, finite, extent - extent);
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
