// The formulas on single numbers, as scalars: the gradient against finite differences of the value, and the far ends.
#include "../../csrc/core/logit_formulas.h"

#include <cmath>
#include <initializer_list>
#include <limits>
#include <vector>

#include "check.h"
#include "logit_parameters.h"

namespace iouloss {
namespace {

constexpr double targets[] = {0, 1, 0.01, 0.3, 0.5, 0.97};

template <class Formula>
void test_gradient(const char* name, const LogitParameters<double>& f) {
  const double step = 1e-5;
  for (double z : targets)
    for (double x = -20.0317; x < 20; x += 0.1103) {  // by the kinks
      const auto value = [&](double at) { return Formula::evaluate(at, z, f).value; };
      const double got = Formula::evaluate(x, z, f).gradient, wants = (value(x + step) - value(x - step)) / (2 * step);
      const double tolerance = 1e-6 * std::fabs(wants) + 1e-8;
      check(std::fabs(got - wants) < tolerance, "%s, gamma %g, target %g, number %g: derivative %.12g, wants %.12g",
            name, f.gamma, z, x, got, wants);
    }
}

template <class Formula, class T>
void test_far_ends(const char* name, const LogitParameters<double>& p) {
  const LogitParameters<T> f(LogitOptions<T>(p), T(p.alpha1), T(p.alpha0), T(p.balance));
  const T nan = std::numeric_limits<T>::quiet_NaN(), most = std::numeric_limits<T>::max();
  for (double target : targets) {
    const T z = T(target);
    std::vector<T> ends{most, most / 2};
    for (double x : {0., 1e-30, 20., 80., 87.3, 88., 90., 104., 120., 700., 710., 750., 1e4, 1e30})
      ends.push_back(T(x));
    for (T magnitude : ends)
      for (T x : {magnitude, -magnitude}) {
        const Evaluated<T> e = Formula::evaluate(x, z, f);
        check(std::isfinite(e.value) && e.value >= 0 && std::isfinite(e.gradient),
              "%s, gamma %g, target %g, number %g: value %g, derivative %g", name, p.gamma, target, double(x),
              double(e.value), double(e.gradient));
      }
    const Evaluated<T> e = Formula::evaluate(nan, z, f);
    check(std::isnan(e.value) && std::isnan(e.gradient), "%s, gamma %g, target %g: NaN is lost", name, p.gamma, target);
  }
}

}  // namespace

void test_logit_formulas() {
#define X(name, Formula, ...)                                                             \
  for (const LogitParameters<double>& p : parameters_of(LogitFormula::name)) {            \
    /* What is a constant to the gradient is none to the difference. */                   \
    if (LogitFormula::name != LogitFormula::asymmetric) test_gradient<Formula>(#name, p); \
    test_far_ends<Formula, double>(#name, p);                                             \
    test_far_ends<Formula, float>(#name, p);                                              \
  }
  IOULOSS_LOGIT_FORMULAS(X)
#undef X
}

}  // namespace iouloss
