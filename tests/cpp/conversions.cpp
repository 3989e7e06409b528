// The conversions of half and bfloat16, by one instruction set's loops, against their definition in double precision.
#include <bit>
#include <cmath>

#include "../../csrc/cpu/convert.h"
#include "check.h"

namespace iouloss {
namespace IOULOSS_ARCH {
namespace {

constexpr int block = 256;
constexpr int room = 4 * block;  // for doubles: the compiler does not know that the dtype has 16 bits

// A format of 16 bits: how many of them are the mantissa's, and the exponent of the smallest normal number.
struct Format {
  const char* name;
  Dtype dtype;
  int mantissa, lowest_exponent;
  constexpr uint32_t infinity() const { return 0x8000u - (1u << mantissa); }
};
constexpr Format half{"half", Dtype::float16, 10, -14}, bfloat16{"bfloat16", Dtype::bfloat16, 7, -126};

// Of bits that are no NaN's; infinity as the number that would come next.
double decode(const Format& f, uint32_t bits) {
  const uint32_t magnitude = bits & 0x7fff, field = magnitude >> f.mantissa, one = 1u << f.mantissa;
  const double significand = magnitude % one + (field ? one : 0);
  const double value = std::ldexp(significand, f.lowest_exponent - f.mantissa + int(field ? field - 1 : 0));
  return bits & 0x8000 ? -value : value;
}

// The compiler's flags make std::signbit mean x < 0.
bool is_negative(float x) { return std::bit_cast<uint32_t>(x) >> 31; }

// To nearest, ties to even. A significand that rounds up to the next power of two carries into the exponent's field.
uint32_t encode(const Format& f, float x) {
  const uint32_t sign = is_negative(x) ? 0x8000 : 0;
  const double magnitude = std::fabs(double(x));
  if (magnitude == 0) return sign;
  if (std::isinf(magnitude)) return sign | f.infinity();
  const int normal = std::ilogb(magnitude), exponent = normal < f.lowest_exponent ? f.lowest_exponent : normal;
  const auto significand = uint32_t(std::nearbyint(std::ldexp(magnitude, f.mantissa - exponent)));
  const int64_t bits = (int64_t(exponent - f.lowest_exponent) << f.mantissa) + significand;
  return sign | (bits < f.infinity() ? uint32_t(bits) : f.infinity());
}

bool is_nan(const Format& f, uint32_t bits) { return (bits & 0x7fff) > f.infinity(); }

void test_widening(const Format& f) {
  uint16_t in[room];
  float out[block];
  for (uint32_t first = 0; first < 0x10000; first += block) {
    for (int i = 0; i < block; ++i) in[i] = uint16_t(first + i);
    load_values<float>({in, f.dtype, 1}, 0, block, out);
    for (int i = 0; i < block; ++i) {
      const uint32_t bits = first + i;
      const bool ok = is_nan(f, bits) ? std::isnan(out[i])
                      : (bits & 0x7fff) == f.infinity()
                          ? std::isinf(out[i])
                          : out[i] == decode(f, bits) && is_negative(out[i]) == (bits >= 0x8000);
      check(ok, "%s %04x became %a", f.name, bits, out[i]);
    }
  }
}

void check_rounding(const Format& f, const float* in) {
  uint16_t out[room];
  store_values(in, block, {out, f.dtype}, 0);
  for (int i = 0; i < block; ++i) {
    const bool ok = std::isnan(in[i]) ? is_nan(f, out[i]) : out[i] == encode(f, in[i]);
    check(ok, "%a became %s %04x, wants %04x", in[i], f.name, out[i], encode(f, in[i]));
  }
}

void test_rounding(const Format& f) {
  float in[block];
  // Floats of all signs, exponents and endings.
  for (uint64_t bits = 0; bits < uint64_t(1) << 32;) {
    for (float& x : in) x = std::bit_cast<float>(uint32_t(bits)), bits += 1021;
    check_rounding(f, in);
  }
  // Each number of the format, the tie between it and the next, and the floats beside them.
  int n = 0;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7fff) >= f.infinity()) continue;
    const float number = float(decode(f, bits)), tie = float((decode(f, bits) + decode(f, bits + 1)) / 2);
    for (float x : {number, tie})
      for (int step : {-1, 0, 1}) {
        in[n++] = std::bit_cast<float>(std::bit_cast<uint32_t>(x) + step);
        if (n == block) check_rounding(f, in), n = 0;
      }
  }
  for (; n < block; ++n) in[n] = INFINITY;
  check_rounding(f, in);
}

}  // namespace

void test_conversions() {
  for (const Format& f : {half, bfloat16}) {
    test_widening(f);
    test_rounding(f);
  }
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
