// The number types that C++ lacks, and what PTX does to numbers on their way in and out of an instruction.
#pragma once

#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>

namespace emulated {

// A 16-bit binary float of so many exponent and fraction bits.
template <int Exponent, int Fraction>
struct SmallFloat {
  static constexpr int bias = (1 << (Exponent - 1)) - 1;
  static constexpr uint16_t infinity = ((1 << Exponent) - 1) << Fraction;

  uint16_t bits = 0;

  SmallFloat() = default;
  static SmallFloat of(uint16_t bits) {
    SmallFloat x;
    x.bits = bits;
    return x;
  }

  // Rounded in the mode that is set.
  explicit SmallFloat(double value) {
    uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    if (std::isnan(value)) {
      bits = 0x7FFF;
    } else if (std::isinf(value)) {
      bits = sign | infinity;
    } else if (value == 0) {
      bits = sign;
    } else {
      int exponent = std::max(std::ilogb(value), 1 - bias);
      // The rounded value in units of its last place: its fraction, the hidden one included.
      auto units = uint32_t(std::fabs(std::nearbyint(std::ldexp(value, Fraction - exponent))));
      uint32_t magnitude = units + (uint32_t(exponent + bias - 1) << Fraction);  // a carry goes up into the exponent
      bits = sign | (magnitude < infinity ? magnitude : overflow(sign != 0));
    }
  }

  operator double() const {
    int exponent = (bits & 0x7FFF) >> Fraction, fraction = bits & ((1 << Fraction) - 1);
    double magnitude = exponent == 0 ? std::ldexp(fraction, 1 - bias - Fraction)
                       : exponent < (1 << Exponent) - 1
                           ? std::ldexp(fraction + (1 << Fraction), exponent - bias - Fraction)
                       : fraction ? std::numeric_limits<double>::quiet_NaN()
                                  : std::numeric_limits<double>::infinity();
    return bits & 0x8000 ? -magnitude : magnitude;
  }

 private:
  static uint16_t overflow(bool negative) {
    int mode = std::fegetround();
    bool finite = mode == FE_TOWARDZERO || mode == (negative ? FE_UPWARD : FE_DOWNWARD);
    return finite ? infinity - 1 : infinity;
  }
};

using Half = SmallFloat<5, 10>;
using BFloat16 = SmallFloat<8, 7>;

template <class T>
inline constexpr bool is_small = false;
template <>
inline constexpr bool is_small<Half> = true;
template <>
inline constexpr bool is_small<BFloat16> = true;
template <class T>
inline constexpr bool is_float = std::is_floating_point_v<T> || is_small<T>;

// Sets the rounding mode of the host while it lives.
class Rounding {
 public:
  explicit Rounding(int mode) : before_(std::fegetround()) {
    if (mode != before_) std::fesetround(mode);
  }
  ~Rounding() {
    if (std::fegetround() != before_) std::fesetround(before_);
  }
  Rounding(const Rounding&) = delete;
  Rounding& operator=(const Rounding&) = delete;

 private:
  const int before_;
};

// .ftz: subnormal numbers become zeros of their sign.
template <class T>
T flushed(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return std::fabs(x) < std::numeric_limits<T>::min() ? std::copysign(T(0), x) : x;
  return x;
}

// .sat: into [0, 1], NaN becomes 0.
template <class T>
T saturated(T x) {
  return x > T(0) ? (x < T(1) ? x : T(1)) : T(0);
}

}  // namespace emulated
