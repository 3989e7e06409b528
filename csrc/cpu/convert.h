// Converts values of every dtype to the number type of the computation and back, in loops that compilers vectorise.
#pragma once

#include <bit>
#include <cstdint>
#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "../core/arguments.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

IOULOSS_INLINE float to_float(float x) { return x; }
IOULOSS_INLINE double to_float(double x) { return x; }
IOULOSS_INLINE float to_float(BFloat16 x) { return std::bit_cast<float>(uint32_t(x.bits) << 16); }
IOULOSS_INLINE float to_float(Half x) {
  const uint32_t magnitude = x.bits & 0x7fffu;
  // The biases of the two exponents differ by 112. Multiplying by 2^112 corrects that, for denormals too.
  uint32_t bits = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude << 13) * 0x1p112f);
  bits |= magnitude >= 0x7c00u ? 0x7f800000u : 0u;
  return std::bit_cast<float>(bits | (uint32_t(x.bits) & 0x8000u) << 16);
}

template <class S>
struct Rounded {
  static IOULOSS_INLINE S of(double x) { return S(x); }
  static IOULOSS_INLINE S of(float x) { return S(x); }
};

// Rounds to nearest, ties to even.
template <>
struct Rounded<BFloat16> {
  static IOULOSS_INLINE BFloat16 of(float x) {
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    return {uint16_t(x == x ? rounded : 0x7fc0u)};
  }
};

template <>
struct Rounded<Half> {
  static IOULOSS_INLINE Half of(float x) {
    const uint32_t all = std::bit_cast<uint32_t>(x), bits = all & 0x7fffffffu;
    const float magnitude = std::bit_cast<float>(bits);
    const uint32_t normal = (bits + 0xfffu + ((bits >> 13) & 1u) - (112u << 23)) >> 13;
    // The last bit of 0.5f has the value of the last bit of a denormal half, so the addition rounds to that.
    const uint32_t denormal = std::bit_cast<uint32_t>(magnitude + 0.5f) - 0x3f000000u;
    uint32_t half = magnitude < 0x1p-14f ? denormal : normal;
    half = magnitude >= 65520.f ? 0x7c00u : half;
    half = x == x ? half : 0x7e00u;
    return {uint16_t(half | (all >> 16 & 0x8000u))};
  }
};

// ---- arrays ------------------------------------------------------------------------------------------------------

template <class S, class T>
void widen(const S* __restrict__ in, int n, T* __restrict__ out) {
  for (int i = 0; i < n; ++i) out[i] = T(to_float(in[i]));
}

template <class T, class S>
void narrow(const T* __restrict__ in, int n, S* __restrict__ out) {
  for (int i = 0; i < n; ++i) out[i] = Rounded<S>::of(in[i]);
}

#if defined(__F16C__)
// These two conversions have instructions of their own, which compilers do not make of the loops above.
inline void widen(const Half* __restrict__ in, int n, float* __restrict__ out) {
  int i = 0;
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
  for (; i < n; ++i) out[i] = to_float(in[i]);
}

inline void narrow(const float* __restrict__ in, int n, Half* __restrict__ out) {
  int i = 0;
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), _mm256_cvtps_ph(_mm256_loadu_ps(in + i), 0));
  for (; i < n; ++i) out[i] = Rounded<Half>::of(in[i]);
}
#endif

inline int size_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::float64:
    case Dtype::int64: return 8;
    case Dtype::float32:
    case Dtype::int32: return 4;
    case Dtype::uint8:
    case Dtype::int8: return 1;
    default: return 2;
  }
}

// Calls f with a pointer of the type that dtype names. visit() is for floating-point dtypes, visit_integers() for
// integers.
template <class F>
IOULOSS_INLINE auto visit(const void* data, Dtype dtype, F f) {
  switch (dtype) {
    case Dtype::float64: return f(static_cast<const double*>(data));
    case Dtype::float16: return f(static_cast<const Half*>(data));
    case Dtype::bfloat16: return f(static_cast<const BFloat16*>(data));
    default: return f(static_cast<const float*>(data));
  }
}

template <class F>
IOULOSS_INLINE auto visit(void* data, Dtype dtype, F f) {
  return visit(static_cast<const void*>(data), dtype, [&](const auto* p) {
    return f(const_cast<std::remove_const_t<std::remove_pointer_t<decltype(p)>>*>(p));
  });
}

template <class F>
IOULOSS_INLINE auto visit_integers(const void* data, Dtype dtype, F f) {
  switch (dtype) {
    case Dtype::int64: return f(static_cast<const int64_t*>(data));
    case Dtype::int32: return f(static_cast<const int32_t*>(data));
    case Dtype::int16: return f(static_cast<const int16_t*>(data));
    case Dtype::int8: return f(static_cast<const int8_t*>(data));
    default: return f(static_cast<const uint8_t*>(data));
  }
}

// Integers are masks and one-hot targets.
template <class T>
void load_integers(const Values& values, int64_t first, int n, T* __restrict__ out) {
  visit_integers(values.data, values.dtype, [&](const auto* data) {
    for (int i = 0; i < n; ++i) out[i] = T(data[(first + i) * values.stride]);
  });
}

// Loads n values from index `first` on into out.
template <class T>
void load_values(const Values& values, int64_t first, int n, T* __restrict__ out) {
  if (is_integer(values.dtype)) return load_integers(values, first, n, out);
  visit(values.data, values.dtype, [&](const auto* data) {
    const auto* p = data + first * values.stride;
    if (values.stride == 1)
      widen(p, n, out);
    else
      for (int i = 0; i < n; ++i) out[i] = T(to_float(p[i * values.stride]));
  });
}

template <class T>
void store_values(const T* __restrict__ in, int n, const Output& out, int64_t first) {
  visit(out.data, out.dtype, [&](auto* data) { narrow(in, n, data + first); });
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
