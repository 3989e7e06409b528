// The operations a formula may use on its number type V: float or double in a CUDA thread and on the host,
// a SIMD vector of either on the CPU (cpu/vector.h overloads the same names).
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>

#include "nvidia.h"

#if defined(__CUDACC__)
#define IOULOSS_INLINE __host__ __device__ __forceinline__
#else
#define IOULOSS_INLINE inline __attribute__((always_inline))
#endif

// Each instruction set compiles these headers into a namespace of its own. Otherwise the linker could keep one copy of
// an inline function for all of them, with instructions that the processor may not have.
#ifndef IOULOSS_ARCH
#define IOULOSS_ARCH scalar
#endif

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class V>
struct ScalarOf {
  using type = V;
};
template <class V>
using Scalar = typename ScalarOf<V>::type;

template <class T>
struct Limits;

template <>
struct Limits<float> {
  static constexpr double tiny = 0x1p-120;  // a denominator below it counts as zero; 1 / tiny is still finite
  static constexpr double largest = 0x1.fffffep127;
  static constexpr double safe_extent = 0x1p50;  // up to here no product of two lengths comes near overflow
  static constexpr double measuring = 0x1p-80;   // finite boxes multiplied by this have no length that overflows
  static constexpr int scaled_exponent = 60;     // boxes that must be scaled get an extent of 2^60 to 2^61
  static constexpr int exponent_bias = 127, mantissa_bits = 23;
  using Bits = int32_t;
};

template <>
struct Limits<double> {
  static constexpr double tiny = 0x1p-1000;
  static constexpr double largest = 0x1.fffffffffffffp1023;
  static constexpr double safe_extent = 0x1p450;
  static constexpr double measuring = 0x1p-700;
  static constexpr int scaled_exponent = 500;
  static constexpr int exponent_bias = 1023, mantissa_bits = 52;
  using Bits = int64_t;
};

// ---- the primitives, for scalars ---------------------------------------------------------------------------------

template <std::floating_point T>
IOULOSS_INLINE T select(bool condition, T a, T b) {
  return condition ? a : b;
}

template <std::floating_point T>
IOULOSS_INLINE T absolute(T x) {
  return std::fabs(x);
}

IOULOSS_INLINE float mul_add(float a, float b, float c) { return ::fmaf(a, b, c); }
IOULOSS_INLINE double mul_add(double a, double b, double c) { return ::fma(a, b, c); }
IOULOSS_INLINE double square_root(double x) { return ::sqrt(x); }
IOULOSS_INLINE double reciprocal(double x) { return 1.0 / x; }

#if defined(__CUDA_ARCH__)
// The hardware's approximation, within 1 ulp. It avoids the slow path of a correctly rounded division. The formulas
// keep their denominators away from denormals and infinity, and quotient() corrects the results that must be exact.
IOULOSS_INLINE float reciprocal(float x) { return nvidia::reciprocal(x); }

// The hardware's reciprocal root, refined by one Newton step. Below `tiny` the result is set to 0: 1 / sqrt(0) is
// infinite, and 0 times that is NaN.
IOULOSS_INLINE float square_root(float x) {
  const float r = nvidia::reciprocal_root(x), root = x * r;
  return x < float(Limits<float>::tiny) ? 0.f : ::fmaf(::fmaf(-root, root, x), 0.5f * r, root);
}
// One instruction each; the templates below would take two to four.
IOULOSS_INLINE float minimum(float a, float b) { return ::fminf(a, b); }
IOULOSS_INLINE float maximum(float a, float b) { return ::fmaxf(a, b); }
// The template below in one instruction: 0.5 + d * 2^127, clamped to [0, 1]. It differs from the template only if d is
// not 0 and |d| < 2^-128: then the result lies between the 0.5 of a tie and the 0 or 1 of a clear difference.
IOULOSS_INLINE float share_of_maximum(float d) { return nvidia::saturated_mul_add(d, 0x1p127f, 0.5f); }

// For x >= 0, or slightly below. Returns 2^y, where y is -x log2(e) rounded to a float. Sets `lost` to the rounding
// error of y, so that the caller can correct the result. expf() would take longer, since it handles ranges that cannot
// occur here.
IOULOSS_INLINE float decay_in_two(float x, float& lost) {
  const float clamped = nvidia::minimum_or_nan(x, 150.f);  // so that an infinite x does not make `lost` NaN
  const float y = clamped * -1.44269502f;
  lost = ::fmaf(clamped, -1.92596303e-8f, ::fmaf(clamped, -1.44269502f, -y));
  return nvidia::power_of_two(y);
}
IOULOSS_INLINE float decay(float x) {
  float lost;
  const float power = decay_in_two(x, lost);
  return ::fmaf(power * 0.693147181f, lost, power);
}
// exp(rest - x) for a small rest. At x = infinity, where rest is NaN, the result is 0.
IOULOSS_INLINE float decay(float x, float rest) {
  float lost;
  const float power = decay_in_two(x, lost);
  return ::fmaf(power, ::fmaf(lost, 0.693147181f, ::fminf(rest, 1.f)), power);  // fminf() also replaces a NaN by 1
}
IOULOSS_INLINE float exponential(float x) { return decay(-x); }
// x * 2^n, where the low bits of `shifted` hold n: see precise_decay().
IOULOSS_INLINE float times_power_of_2(float x, float shifted) {
  return x * __int_as_float((__float_as_int(shifted) << 23) + 0x3f800000);
}
#else
IOULOSS_INLINE float reciprocal(float x) { return 1.f / x; }
IOULOSS_INLINE float square_root(float x) { return ::sqrtf(x); }
IOULOSS_INLINE float exponential(float x) { return ::expf(x); }
IOULOSS_INLINE float decay(float x, float rest) { return x > 104.f ? 0.f : ::expf(-x) * (1.f + rest); }
IOULOSS_INLINE float precise_decay(float x, float rest) { return decay(x, rest); }
#endif

// The power of two that scales x > 0 into [2^exponent, 2^(exponent + 1)).
template <class T>
IOULOSS_INLINE T power_of_2_to(T x, int exponent) {
  using Of = Limits<T>;
  using Bits = typename Of::Bits;
  const Bits of_x = std::bit_cast<Bits>(x) >> Of::mantissa_bits;
  return std::bit_cast<T>((exponent + 2 * Bits(Of::exponent_bias) - of_x) << Of::mantissa_bits);
}

// n / d, given r = reciprocal(d). It is off by at most one ulp, and exactly 1 where n == d.
template <std::floating_point T>
IOULOSS_INLINE T quotient(T n, T d, T r) {
  const T q = n * r;
  return mul_add(mul_add(-q, d, n), r, q);
}

// exp(x); and log(x) for x >= 0, where log(0) is the lowest finite number, so that 0 * log(0) is 0.
IOULOSS_INLINE double exponential(double x) { return ::exp(x); }
IOULOSS_INLINE float logarithm(float x) { return x <= 0 ? float(-Limits<float>::largest) : ::logf(x); }
IOULOSS_INLINE double logarithm(double x) { return x <= 0 ? -Limits<double>::largest : ::log(x); }
IOULOSS_INLINE double log_1_plus(double x) { return ::log1p(x); }
IOULOSS_INLINE double arctangent2(double y, double x) { return ::atan2(y, x); }

// ---- built from the primitives, for every V ----------------------------------------------------------------------

// `a < b ? a : b` passes on a NaN in b, but not one in a. No formula relies on either: a NaN coordinate shows in
// Pair::extent().
template <class V>
IOULOSS_INLINE V minimum(V a, V b) {
  return select(a < b, a, b);
}

template <class V>
IOULOSS_INLINE V maximum(V a, V b) {
  return select(a > b, a, b);
}

template <class V>
IOULOSS_INLINE V positive_part(V x) {
  return select(x > V(0), x, V(0));
}

// 1 / x, or 0 where |x| is below Limits::tiny. This is how the rule 0/0 := 0 is implemented.
template <class V>
IOULOSS_INLINE V reciprocal_or_zero(V x) {
  return select(absolute(x) < V(Limits<Scalar<V>>::tiny), V(0), reciprocal(x));
}

// The same for x >= 0, without the absolute value.
template <class V>
IOULOSS_INLINE V reciprocal_of_positive(V x) {
  return select(x < V(Limits<Scalar<V>>::tiny), V(0), reciprocal(x));
}

// exp(-x) for x >= 0.
template <class V>
IOULOSS_INLINE V decay(V x) {
  return exponential(-x);
}

// exp(rest - x) in float32 for x >= -88 and a small rest, computed as 2^n exp(r) with |r| <= ln 2 / 2. Above x = 87.3
// it is 0, whatever rest is. The relative error is 1e-7, half that of decay() on a GPU.
template <class V>
IOULOSS_INLINE V precise_decay(V x, V rest) {
  const V farthest(87.3);
  const V clamped = select(x > farthest, farthest, x);
  const V shifted = mul_add(clamped, V(-1.44269504), V(0x1.8p23));  // its low bits hold n = round(-x / ln 2)
  const V n = shifted - V(0x1.8p23);
  const V r = mul_add(n, V(2.12194440e-4), mul_add(n, V(-0.693359375), -clamped)) + rest;
  V p = V(0.00138146131);
  p = mul_add(p, r, V(0.00836870983));
  p = mul_add(p, r, V(0.0416683874));
  p = mul_add(p, r, V(0.166665207));
  p = mul_add(p, r, V(0.499999935));
  p = mul_add(p * r, r, r) + V(1);
  return select(x > farthest, V(0), times_power_of_2(p, shifted));
}
IOULOSS_INLINE double precise_decay(double x, double rest) { return ::exp(rest - x); }

// The derivative of max(a, b) with respect to a, given d = a - b. A tie gives half to each, as in torch.
template <class V>
IOULOSS_INLINE V share_of_maximum(V d) {
  return select(d > V(0), V(1), select(d == V(0), V(0.5), V(0)));
}

// Smooth L1 of x >= 0: x^2 / (2 beta) where x < beta, else x - beta / 2; and its derivative.
template <class V>
IOULOSS_INLINE V smooth_l1(V x, V beta, V& derivative) {
  const V ratio = x * reciprocal_or_zero(beta);
  const auto near = x < beta;
  derivative = select(near, ratio, V(1));
  return select(near, V(0.5) * x * ratio, x - V(0.5) * beta);
}

// log(1 + e) in float32 for 0 <= e <= 1, given s = e / (2 + e): 2 atanh(s). The relative error before rounding is below
// 5e-9.
template <class V>
IOULOSS_INLINE V log_1_plus_from(V s) {
  const V u = s * s;
  V p = V(0.140122109);
  p = mul_add(p, u, V(0.139995748));
  p = mul_add(p, u, V(0.200108492));
  p = mul_add(p, u, V(0.333332066));
  const V twice = s + s;
  return mul_add(twice * u, p, twice);
}

// atan2(y, x) in float32, with atan2(0, 0) = 0. The relative error of the polynomial is below 2e-8.
template <class V>
IOULOSS_INLINE V arctangent2(V y, V x) {
  const V ax = absolute(x), ay = absolute(y);
  const V longer = maximum(ax, ay);
  const V t = quotient(minimum(ax, ay), longer, reciprocal_of_positive(longer));
  const V u = t * t;
  V p = V(0.00292069926);
  p = mul_add(p, u, V(-0.0163679571));
  p = mul_add(p, u, V(0.0432119101));
  p = mul_add(p, u, V(-0.0755221866));
  p = mul_add(p, u, V(0.106660068));
  p = mul_add(p, u, V(-0.142110559));
  p = mul_add(p, u, V(0.199937729));
  p = mul_add(p, u, V(-0.333331527));
  V angle = mul_add(t * u, p, t);
  angle = select(ay > ax, V(1.57079632679489662) - angle, angle);
  angle = select(x < V(0), V(3.14159265358979324) - angle, angle);
  return select(y < V(0), -angle, angle);
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
