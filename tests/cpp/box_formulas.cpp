// The formulas on pairs of boxes, as scalars: the analytic gradient against finite differences of the value.
#include "../../csrc/core/box_formulas.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <type_traits>

#include "check.h"

namespace iouloss {
namespace {

constexpr BoxFormat formats[] = {BoxFormat::xyxy, BoxFormat::xywh, BoxFormat::cxcywh};

template <class Formula, class T>
T value_of(const Pair<T>& b, const Parameters<T>& p) {
  Partials<T> unused;
  return Formula::evaluate(b, p, unused);
}

// The value of a loss near a pair of boxes, where what carries no gradient keeps the value it has at the pair.
template <class Formula>
struct Held {
  Held(const Pair<double>&, const Parameters<double>&) {}
  double operator()(const Pair<double>& b, const Parameters<double>& p) const { return value_of<Formula>(b, p); }
};

template <>
struct Held<AspectRatio> {
  double alpha;
  Held(const Pair<double>& b, const Parameters<double>& p) : alpha(AspectRatio::Terms<double>(b, p).alpha) {}
  double operator()(const Pair<double>& b, const Parameters<double>& p) const {
    return alpha * AspectRatio::Terms<double>(b, p).v;
  }
};

template <>
struct Held<FocalEIoU> {
  double weight;
  Held(const Pair<double>& b, const Parameters<double>& p) : weight(FocalEIoU::weight(b, p)) {}
  double operator()(const Pair<double>& b, const Parameters<double>& p) const { return weight * value_of<EIoU>(b, p); }
};

template <class... Terms>
struct Held<Sum<Terms...>> : Held<Terms>... {
  Held(const Pair<double>& b, const Parameters<double>& p) : Held<Terms>(b, p)... {}
  double operator()(const Pair<double>& b, const Parameters<double>& p) const {
    return (... + static_cast<const Held<Terms>&>(*this)(b, p));
  }
};

template <class T>
Pair<T> pair_of(const Row4<T>& pred, const Row4<T>& target, BoxFormat format, T eps) {
  Pair<T> b = measure(pred, target, format);
  measure_overlap(b, eps);
  return b;
}

template <class Formula, class T>
Row4<T> gradient_of(const Row4<T>& pred, const Row4<T>& target, BoxFormat format, const Parameters<T>& p) {
  const Pair<T> b = pair_of(pred, target, format, p.area_eps);
  Partials<T> d;
  Formula::evaluate(b, p, d);
  return to_gradient(b, d, format);
}

template <class T>
Row4<T> from_corners(const Row4<T>& c, BoxFormat format) {
  if (format == BoxFormat::xyxy) return c;
  const Row4<T> sizes{c.c0, c.c1, c.c2 - c.c0, c.c3 - c.c1};
  if (format == BoxFormat::xywh) return sizes;
  return {sizes.c0 + sizes.c2 / 2, sizes.c1 + sizes.c3 / 2, sizes.c2, sizes.c3};
}

// Pairs of boxes, as corners: apart, overlapping, and one inside the other. No two sides are equal, which is a kink.
class Boxes {
 public:
  struct Corners {
    Row4<double> pred, target;
  };

  Corners operator()(int i) {
    const Row4<double> target = box(uniform(0, 100), uniform(0, 100), uniform(5, 50), uniform(5, 50));
    const double w = target.c2 - target.c0, h = target.c3 - target.c1;
    switch (i % 4) {
      case 0: return {box(target.c2 + uniform(1, 20), target.c1 + uniform(-20, 20), uniform(5, 50), .9 * h), target};
      case 1: return {box(target.c0 + uniform(.1, .9) * w, target.c1 - uniform(.1, .9) * h, 1.2 * w, .8 * h), target};
      case 2: return {box(target.c0 + .1 * w, target.c1 + .2 * h, uniform(.1, .7) * w, uniform(.1, .7) * h), target};
      default: return {box(target.c0 - uniform(1, 9), target.c1 - uniform(1, 9), w + 10, h + 11), target};
    }
  }

 private:
  static Row4<double> box(double x, double y, double w, double h) { return {x, y, x + w, y + h}; }
  double uniform(double low, double high) { return std::uniform_real_distribution(low, high)(engine_); }
  std::mt19937_64 engine_{1};
};

template <class Formula>
void test_gradient(const char* name, BoxFormat format, double eps) {
  const Parameters<double> p(eps, options_of(0.7));
  const double step = 1e-5;
  Boxes boxes;
  for (int i = 0; i < 400; ++i) {
    const auto corners = boxes(i);
    const Row4<double> pred = from_corners(corners.pred, format), target = from_corners(corners.target, format);
    const Row4<double> got = gradient_of<Formula>(pred, target, format, p);
    const Held<Formula> value(pair_of(pred, target, format, eps), p);
    if (value(pair_of(pred, target, format, eps), p) > 1e300) continue;  // -log 0, which swallows what is added to it
    for (double Row4<double>::* c : {&Row4<double>::c0, &Row4<double>::c1, &Row4<double>::c2, &Row4<double>::c3}) {
      Row4<double> above = pred, below = pred;
      above.*c += step;
      below.*c -= step;
      const double wants =
          (value(pair_of(above, target, format, eps), p) - value(pair_of(below, target, format, eps), p)) / (2 * step);
      check(std::fabs(got.*c - wants) < 1e-9, "%s, format %d, eps %g, pair %d: derivative %.12g, wants %.12g", name,
            int(format), eps, i, got.*c, wants);
    }
  }
}

// What gives the same loss of the boxes swapped; most formulas do.
template <class Formula>
struct Swapped {
  using type = Formula;
};
template <bool swapped>
struct Swapped<BoundedIoU<swapped>> {
  using type = BoundedIoU<!swapped>;
};

// In xyxy no operation of a formula depends on which box comes first; sizes are rounded on the way to corners.
template <class Formula>
void test_symmetry(const char* name, BoxFormat format, double eps) {
  const Parameters<double> p(eps, options_of(0.7));
  const double tolerance = format == BoxFormat::xyxy ? 0 : 1e-13;
  Boxes boxes;
  for (int i = 0; i < 400; ++i) {
    const auto corners = boxes(i);
    const Row4<double> a = from_corners(corners.pred, format), b = from_corners(corners.target, format);
    const double ab = value_of<Formula>(pair_of(a, b, format, eps), p),
                 ba = value_of<typename Swapped<Formula>::type>(pair_of(b, a, format, eps), p);
    check(std::fabs(ab - ba) <= tolerance, "%s, format %d, pair %d: %.17g one way, %.17g the other", name, int(format),
          i, ab, ba);
  }
}

// Whether a formula's eps stands beside a length, which it moves however large that is: the loss of equal boxes is then
// a number above 0 that is made of eps.
template <class Formula>
constexpr bool feels_eps = !std::is_same_v<Formula, typename Swapped<Formula>::type>;

// Boxes of pixels: eps is nothing beside their area in float; in double it is not, and must be 0.
template <class Formula, class T>
void test_equal_boxes(const char* name, BoxFormat format, T eps) {
  Boxes boxes;
  for (int i = 0; i < 2000; ++i) {
    const Row4<double> corners = boxes(i).pred;
    const Row4<T> box = from_corners(Row4<T>{T(corners.c0), T(corners.c1), T(corners.c2), T(corners.c3)}, format);
    const Row4<T> g = gradient_of<Formula>(box, box, format, {eps, BoxOptions<T>(options_of(0.7))});
    check(g.c0 == 0 && g.c1 == 0 && g.c2 == 0 && g.c3 == 0,
          "%s, format %d, eps %g: gradient (%g %g %g %g) at equal boxes", name, int(format), double(eps), double(g.c0),
          double(g.c1), double(g.c2), double(g.c3));
  }
}

template <class Formula>
void test_formula(const char* name) {
  for (BoxFormat format : formats) {
    for (double eps : {0., 1e-7, 0.25}) {
      test_gradient<Formula>(name, format, eps);
      test_symmetry<Formula>(name, format, eps);
    }
    test_equal_boxes<Formula, double>(name, format, 0);
    test_equal_boxes<Formula, float>(name, format, 0);
    if (!feels_eps<Formula>) test_equal_boxes<Formula, float>(name, format, 1e-7f);
  }
}

}  // namespace

void test_box_formulas() {
#define X(name, formula, ...) test_formula<formula>(#name);
  IOULOSS_BOX_FORMULAS(X)
#undef X
}

}  // namespace iouloss
