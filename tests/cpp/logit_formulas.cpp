// The formulas on logits, as scalars: the gradient against finite differences of the value, and the far ends.
#include "../../csrc/core/logit_formulas.h"

#include <cmath>
#include <initializer_list>
#include <limits>

#include "check.h"

namespace iouloss {
namespace {

constexpr double targets[] = {0, 1, 0.01, 0.3, 0.5, 0.97};

template <bool gamma_is_2>
void test_gradient(double gamma) {
  using Formula = SigmoidFocal<gamma_is_2>;
  const FocalParameters<double> f{0.25, 0.75, gamma};
  const double step = 1e-4;
  for (double z : targets)
    for (double x = -20.03; x < 20; x += 0.11) {
      const double got = Formula::evaluate(x, z, f).gradient;
      const double wants =
          (Formula::evaluate(x + step, z, f).value - Formula::evaluate(x - step, z, f).value) / (2 * step);
      const double tolerance = 1e-6 * std::fabs(wants) + 1e-10;
      check(std::fabs(got - wants) < tolerance, "gamma %g, target %g, logit %g: derivative %.12g, wants %.12g", gamma,
            z, x, got, wants);
    }
}

template <class T, bool gamma_is_2>
void test_far_ends(T gamma) {
  using Formula = SigmoidFocal<gamma_is_2>;
  const FocalParameters<T> f{T(0.25), T(0.75), gamma};
  const T nan = std::numeric_limits<T>::quiet_NaN();
  for (double target : targets) {
    const T z = T(target);
    for (double magnitude : {0., 1e-30, 20., 80., 87.3, 88., 90., 104., 120., 700., 710., 750., 1e4, 1e30})
      for (T x : {T(magnitude), T(-magnitude)}) {
        const T value = Formula::evaluate(x, z, f).value, gradient = Formula::evaluate(x, z, f).gradient;
        check(std::isfinite(value) && value >= 0 && std::isfinite(gradient),
              "gamma %g, target %g, logit %g: value %g, derivative %g", double(gamma), target, double(x), double(value),
              double(gradient));
      }
    check(std::isnan(Formula::evaluate(nan, z, f).value) && std::isnan(Formula::evaluate(nan, z, f).gradient),
          "gamma %g, target %g: the logit is NaN, the result is not", double(gamma), target);
  }
}

template <bool gamma_is_2>
void test_gamma(double gamma) {
  test_gradient<gamma_is_2>(gamma);
  test_far_ends<double, gamma_is_2>(gamma);
  test_far_ends<float, gamma_is_2>(float(gamma));
}

}  // namespace

void test_logit_formulas() {
  for (double gamma : {0., 0.5, 1., 1.5, 2., 3., 5.}) test_gamma<false>(gamma);
  test_gamma<true>(2);
}

}  // namespace iouloss
