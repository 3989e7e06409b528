// The single precision functions, in the vectors of one instruction set and (those that a CUDA thread shares) as
// scalars, against double precision over their whole range.
#include <bit>
#include <cmath>
#include <cstdio>

#include "../../csrc/core/logit_formulas.h"
#include "../../csrc/cpu/tile.h"
#include "check.h"

namespace iouloss {
namespace IOULOSS_ARCH {
namespace {

template <class V>
constexpr int width = sizeof(V) / sizeof(float);

template <class V>
V load(const float* p) {
  if constexpr (width<V> == 1)
    return *p;
  else
    return V::load(p);
}

template <class V>
void store(V v, float* p) {
  if constexpr (width<V> == 1)
    *p = v;
  else
    v.store(p);
}

// The largest relative error of a function, printed and checked at the end.
class Error {
 public:
  Error(const char* name, double bound) : name_(name), bound_(bound) {}
  ~Error() {
    std::printf("%-40s %.3g (bound %.3g) at %a, %a\n", name_, error_, bound_, x_, y_);
    check(error_ <= bound_, "%s: relative error %g at %a, %a, wants %g", name_, error_, x_, y_, bound_);
  }
  void add(double got, double exact, double x, double y = 0) {
    const double error = got == exact ? 0 : std::fabs(got - exact) / std::fabs(exact);
    if (!(error <= error_)) error_ = error, x_ = x, y_ = y;
  }

 private:
  const char* name_;
  double bound_, error_ = 0, x_ = 0, y_ = 0;
};

// Calls f with blocks of floats of one sign and of magnitudes from low to high: every 251st float, which has all
// endings.
template <class V, class F>
void sweep(float sign, float low, float high, F f) {
  const auto end = std::bit_cast<uint32_t>(high);
  alignas(64) float x[width<V>];
  for (auto bits = std::bit_cast<uint32_t>(low); bits < end;) {
    for (int i = 0; i < width<V>; ++i, bits += 251)
      x[i] = std::copysign(std::bit_cast<float>(bits < end ? bits : end), sign);
    f(x);
  }
}

template <class V, class F, class G>
void compare(const char* name, double bound, float sign, float low, float high, F f, G exact) {
  Error error(name, bound);
  sweep<V>(sign, low, high, [&](const float* x) {
    alignas(64) float y[width<V>];
    store(V(f(load<V>(x))), y);
    for (int i = 0; i < width<V>; ++i) error.add(y[i], exact(double(x[i])), x[i]);
  });
}

// Floats of random magnitude.
class Random {
 public:
  float operator()(float sign, int lowest_exponent, int highest_exponent) {
    const int exponent = lowest_exponent + int(next() % uint32_t(highest_exponent - lowest_exponent + 1));
    return std::copysign(std::ldexp(float(1 + next() * 0x1p-32), exponent), sign);
  }
  uint32_t next() {  // PCG's generator
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return uint32_t(state_ >> 32);
  }

 private:
  uint64_t state_ = 1;
};

// Functions of two numbers: pairs of random magnitudes and signs, at most 2^20 apart.
template <class V, class F, class G>
void compare_pairs(const char* name, double bound, F f, G exact) {
  Error error(name, bound);
  Random random;
  alignas(64) float a[width<V>], b[width<V>], y[width<V>];
  for (int n = 0; n < 1 << 21; n += width<V>) {
    for (int i = 0; i < width<V>; ++i) {
      const uint32_t bits = random.next();
      const int range = bits & 4 ? 20 : 1;
      a[i] = random(bits & 1 ? 1 : -1, -range, range);
      b[i] = random(bits & 2 ? 1 : -1, -range, range);
    }
    store(V(f(load<V>(a), load<V>(b))), y);
    for (int i = 0; i < width<V>; ++i) error.add(y[i], exact(a[i], b[i]), a[i], b[i]);
  }
}

double divide(double n, double d) { return n / d; }
double one(double, double) { return 1; }
double invert(double x) { return 1 / x; }
double twice_atanh(double x) { return 2 * std::atanh(x); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double sigmoid_of_minus(double x) { return sigmoid(-x); }
double softplus(double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }
double softplus_of_minus(double x) { return softplus(-x); }

template <class V>
void test_of_any_width(const char* kind) {
  std::printf("%s:\n", kind);
  const auto quotient_of = [](V n, V d) { return quotient(n, d, reciprocal(d)); };
  const auto quotient_of_equals = [](V n, V) { return quotient(n, n, reciprocal(n)); };
  const auto angle = [](V y, V x) { return arctangent2(y, x); };
  const auto log_1_plus = [](V s) { return log_1_plus_from(s); };
  compare_pairs<V>("quotient", 0x1p-23, quotient_of, divide);
  compare_pairs<V>("quotient n / n", 0, quotient_of_equals, one);
  compare_pairs<V>("arctangent2", 1.8e-7, angle, static_cast<double (*)(double, double)>(std::atan2));
  compare<V>("log_1_plus_from", 7e-8, 1, 0x1p-126f, 1 / 3.f, log_1_plus, twice_atanh);
}

// In double the coefficients are as written: what remains is the error of the polynomial.
void test_polynomials() {
  Error log_error("polynomial of log_1_plus_from", 5e-9), angle_error("polynomial of arctangent2", 2e-8);
  for (double t = 1e-6; t <= 1; t += 1e-6) {
    log_error.add(log_1_plus_from<double>(t / 3), twice_atanh(t / 3), t / 3);
    angle_error.add(arctangent2<double>(t, 1), std::atan(t), t, 1);
  }
}

void test_vectors() {
  using V = Native<float>;
  using Exact = double (*)(double);
  constexpr float smallest = 0x1p-126f, largest = 0x1.fffffep127f;
  const auto exp = [](V x) { return exponential(x); };
  const auto log = [](V x) { return logarithm(x); };
  const auto inverse = [](V x) { return reciprocal(x); };
  const auto root = [](V x) { return square_root(x); };
  compare<V>("exponential", 1e-7, -1, 0x1p-149f, 87.3f, exp, Exact(std::exp));
  compare<V>("exponential", 1e-7, 1, 0x1p-149f, 88, exp, Exact(std::exp));
  compare<V>("logarithm", 2e-7, 1, smallest, largest, log, Exact(std::log));
  // A correctly rounded division; an estimate and a step of Newton's where that is faster.
  compare<V>("reciprocal", IOULOSS_VECTOR_BYTES == 64 ? 6.2e-8 : 0x1p-24, 1, smallest, 0x1p126f, inverse, invert);
  compare<V>("square_root", 0x1p-24, 1, smallest, largest, root, Exact(std::sqrt));
}

// Each number of a sigmoid keeps its relative precision for every logit.
void test_sigmoid() {
  using V = Native<float>;
  const auto p = [](V x) { return Sigmoid<V>(x).p; };
  const auto n = [](V x) { return Sigmoid<V>(x).n; };
  const auto cost0 = [](V x) { return cross_entropy(x, Sigmoid<V>(x), V(0)); };
  const auto cost1 = [](V x) { return cross_entropy(x, Sigmoid<V>(x), V(1)); };
  for (float sign : {-1.f, 1.f}) {
    compare<V>("Sigmoid::p", 4e-7, sign, 0x1p-126f, 87, p, sigmoid);
    compare<V>("Sigmoid::n", 4e-7, sign, 0x1p-126f, 87, n, sigmoid_of_minus);
    compare<V>("cross_entropy of 0", 4e-7, sign, 0x1p-126f, 87, cost0, softplus);
    compare<V>("cross_entropy of 1", 4e-7, sign, 0x1p-126f, 87, cost1, softplus_of_minus);
  }
}

void test_special_arguments() {
  using V = Native<float>;
  const auto first = [](V v) { return v.v[0]; };
  const float lowest = float(-Limits<float>::largest);
  const V nan(std::nan(""));
  const auto expect = [](const char* what, float got, float wants) {
    check(got == wants, "%s is %g, wants %g", what, got, wants);
  };
  expect("exponential(0)", first(exponential(V(0))), 1);
  expect("exponential(-88)", first(exponential(V(-88))), 0);
  expect("exponential(-infinity)", first(exponential(V(-INFINITY))), 0);
  expect("logarithm(1)", first(logarithm(V(1))), 0);
  expect("logarithm(0)", first(logarithm(V(0))), lowest);
  expect("logarithm(2^-127)", first(logarithm(V(0x1p-127))), lowest);
  expect("arctangent2(0, 0)", first(arctangent2(V(0), V(0))), 0);
  expect("reciprocal_or_zero(0)", first(reciprocal_or_zero(V(0))), 0);
  expect("quotient(0, 0)", first(quotient(V(0), V(0), V(0))), 0);
  check(std::isnan(first(exponential(nan))) && std::isnan(first(logarithm(nan))), "a NaN was lost");
}

}  // namespace

void test_functions() {
  test_of_any_width<float>("scalars");
  test_of_any_width<Native<float>>("vectors");
  test_polynomials();
  test_vectors();
  test_sigmoid();
  test_special_arguments();
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
