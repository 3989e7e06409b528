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

const auto divide = [](double n, double d) { return n / d; };
const auto atan2_ = [](double y, double x) { return std::atan2(y, x); };
