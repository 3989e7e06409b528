// A SIMD vector of N floats or doubles, and the primitives of core/number.h on it. It is a vector type of the compiler,
// so the same code becomes SSE, AVX2, AVX-512 or NEON. Only operations that such types lack (fused multiply-add, square
// root) use intrinsics.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "../core/number.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T, int N>
struct Vector {
  using Bits = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  typedef T Raw __attribute__((vector_size(N * sizeof(T))));
  typedef Bits RawBits __attribute__((vector_size(N * sizeof(T))));  // integers, and the results of comparisons
  Raw v;

  Vector() = default;
  IOULOSS_INLINE Vector(Raw raw) : v(raw) {}
  explicit IOULOSS_INLINE Vector(double x) : v(Raw{} + T(x)) {}

  static IOULOSS_INLINE Vector load(const T* p) { return *reinterpret_cast<const Raw*>(p); }  // p must be aligned
  IOULOSS_INLINE void store(T* p) const { *reinterpret_cast<Raw*>(p) = v; }
  IOULOSS_INLINE RawBits bits() const { return reinterpret_cast<RawBits>(v); }
  static IOULOSS_INLINE Vector from_bits(RawBits b) { return reinterpret_cast<Raw>(b); }

  // For functions without a vector form here. Most are in double precision, which is for checks rather than for speed.
  template <class F>
  IOULOSS_INLINE Vector map(F f) const {
    Vector r;
    for (int i = 0; i < N; ++i) r.v[i] = f(v[i]);
    return r;
  }
};

template <class T, int N>
struct ScalarOf<Vector<T, N>> {
  using type = T;
};

#define IOULOSS_VECTOR      \
  template <class T, int N> \
  IOULOSS_INLINE
IOULOSS_VECTOR Vector<T, N> operator+(Vector<T, N> a, Vector<T, N> b) { return a.v + b.v; }
IOULOSS_VECTOR Vector<T, N> operator-(Vector<T, N> a, Vector<T, N> b) { return a.v - b.v; }
IOULOSS_VECTOR Vector<T, N> operator*(Vector<T, N> a, Vector<T, N> b) { return a.v * b.v; }
IOULOSS_VECTOR Vector<T, N> operator/(Vector<T, N> a, Vector<T, N> b) { return a.v / b.v; }
IOULOSS_VECTOR Vector<T, N> operator-(Vector<T, N> a) { return -a.v; }
IOULOSS_VECTOR auto operator<(Vector<T, N> a, Vector<T, N> b) { return a.v < b.v; }
IOULOSS_VECTOR auto operator>(Vector<T, N> a, Vector<T, N> b) { return a.v > b.v; }
IOULOSS_VECTOR auto operator<=(Vector<T, N> a, Vector<T, N> b) { return a.v <= b.v; }
IOULOSS_VECTOR auto operator==(Vector<T, N> a, Vector<T, N> b) { return a.v == b.v; }

template <class Mask, class T, int N>
IOULOSS_INLINE Vector<T, N> select(Mask mask, Vector<T, N> a, Vector<T, N> b) {
  return mask ? a.v : b.v;
}

IOULOSS_VECTOR Vector<T, N> absolute(Vector<T, N> x) {
  constexpr auto magnitude = std::numeric_limits<typename Vector<T, N>::Bits>::max();
  return Vector<T, N>::from_bits(x.bits() & magnitude);
}

IOULOSS_VECTOR Vector<T, N> reciprocal(Vector<T, N> x) { return Vector<T, N>(1) / x; }

// ---- what compiler vectors lack ----------------------------------------------------------------------------------

// Fused where the instruction set has it: see IOULOSS_FUSED.
IOULOSS_VECTOR Vector<T, N> mul_add(Vector<T, N> a, Vector<T, N> b, Vector<T, N> c) { return a.v * b.v + c.v; }

IOULOSS_VECTOR Vector<T, N> square_root(Vector<T, N> x) {
  return x.map([](T y) { return std::sqrt(y); });
}

// n / d, given r = reciprocal_or_zero(d); 0 where that is 0. With a fused multiply-add, the version below is as exact
// as a division and cheaper: see core/number.h.
IOULOSS_VECTOR Vector<T, N> quotient(Vector<T, N> n, Vector<T, N> d, Vector<T, N> r) {
  return select(r == Vector<T, N>(0), Vector<T, N>(0), n / d);
}

#if defined(__FMA__)
#define IOULOSS_FUSED(T, N, fma, sqrt)                                                             \
  IOULOSS_INLINE Vector<T, N> mul_add(Vector<T, N> a, Vector<T, N> b, Vector<T, N> c) {            \
    return Vector<T, N>::Raw(fma(a.v, b.v, c.v));                                                  \
  }                                                                                                \
  IOULOSS_INLINE Vector<T, N> square_root(Vector<T, N> x) { return Vector<T, N>::Raw(sqrt(x.v)); } \
  IOULOSS_INLINE Vector<T, N> quotient(Vector<T, N> n, Vector<T, N> d, Vector<T, N> r) {           \
    const auto q = n * r;                                                                          \
    return mul_add(mul_add(-q, d, n), r, q);                                                       \
  }
#if defined(__AVX512F__)
IOULOSS_FUSED(float, 16, _mm512_fmadd_ps, _mm512_sqrt_ps)
IOULOSS_FUSED(double, 8, _mm512_fmadd_pd, _mm512_sqrt_pd)
// An estimate of 14 bits, refined by one Newton step, takes a quarter of a division's time. The relative error is below
// 6.2e-8. For 0 and infinity it is NaN, which no formula uses.
IOULOSS_INLINE Vector<float, 16> reciprocal(Vector<float, 16> x) {
  const Vector<float, 16> r = Vector<float, 16>::Raw(_mm512_rcp14_ps(x.v));
  return mul_add(mul_add(-x, r, Vector<float, 16>(1)), r, r);
}
#else
IOULOSS_FUSED(float, 8, _mm256_fmadd_ps, _mm256_sqrt_ps)
IOULOSS_FUSED(double, 4, _mm256_fmadd_pd, _mm256_sqrt_pd)
#endif
#undef IOULOSS_FUSED
#endif

// ---- functions in double precision: the C library's, lane by lane ------------------------------------------------

template <int N>
IOULOSS_INLINE Vector<double, N> exponential(Vector<double, N> x) {
  return x.map([](double y) { return std::exp(y); });
}
template <int N>
IOULOSS_INLINE Vector<double, N> logarithm(Vector<double, N> x) {
  return x.map([](double y) { return iouloss::logarithm(y); });
}
template <int N>
IOULOSS_INLINE Vector<double, N> log_1_plus(Vector<double, N> x) {
  return x.map([](double y) { return std::log1p(y); });
}
template <int N>
IOULOSS_INLINE Vector<double, N> precise_decay(Vector<double, N> x, Vector<double, N> rest) {
  return exponential(rest - x);
}
template <int N>
IOULOSS_INLINE Vector<double, N> arctangent2(Vector<double, N> y, Vector<double, N> x) {
  Vector<double, N> r;
  for (int i = 0; i < N; ++i) r.v[i] = std::atan2(y.v[i], x.v[i]);
  return r;
}

// ---- functions in single precision -------------------------------------------------------------------------------

// x * 2^n, where the low bits of `shifted` hold n: see precise_decay().
template <int N>
IOULOSS_INLINE Vector<float, N> times_power_of_2(Vector<float, N> x, Vector<float, N> shifted) {
  return x * Vector<float, N>::from_bits((shifted.bits() << 23) + 0x3f800000);
}
template <int N>
IOULOSS_INLINE Vector<float, N> decay(Vector<float, N> x, Vector<float, N> rest) {
  return precise_decay(x, rest);
}
template <int N>
IOULOSS_INLINE Vector<float, N> exponential(Vector<float, N> x) {
  return decay(-x, Vector<float, N>(0));
}

// log(x) for x >= 0. Below the normal range it is the lowest finite number. It is computed as e ln 2 + log(m), where x
// = 2^e m and m lies between sqrt(1/2) and sqrt(2).
template <int N>
IOULOSS_INLINE Vector<float, N> logarithm(Vector<float, N> x) {
  using V = Vector<float, N>;
  const auto exponent = (x.bits() - 0x3f3504f3) >> 23;
  const V m = V::from_bits(x.bits() - (exponent << 23));
  const V s = (m - V(1)) / (m + V(1)), u = s * s;
  const V p = mul_add(mul_add(V(0.14936154), u, V(0.199887609)), u, V(0.333333883));
  const V e = V(__builtin_convertvector(exponent, typename V::Raw));
  const V log = mul_add(e, V(0.693147181), mul_add((s + s) * u, p, s + s));
  return select(x == x, select(x < V(0x1p-126), V(-Limits<float>::largest), log), x);
}
#undef IOULOSS_VECTOR

// The vector that fills one register of the instruction set.
template <class T>
using Native = Vector<T, IOULOSS_VECTOR_BYTES / sizeof(T)>;

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
