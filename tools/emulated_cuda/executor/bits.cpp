// Logic, shifts and bit fields.
#include <algorithm>

#include "decoder.h"

namespace emulated {

namespace {

template <int Inputs, class F>
Handler logic(Decoder& d, F f) {
  return for_type<bool, uint16_t, uint32_t, uint64_t>(d, d.type(), [&]<class T> {
    if constexpr (Inputs == 1)
      return lanewise<T, T>(d, f);
    else
      return lanewise<T, T, T>(d, f);
  });
}

// The table's bit 4a + 2b + c.
uint32_t by_table(unsigned table, uint32_t a, uint32_t b, uint32_t c) {
  uint32_t out = 0;
  for (int i = 0; i < 8; ++i)
    if (table >> i & 1) out |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
  return out;
}

Handler lop3(Decoder& d) {
  d.instruction.mode = uint8_t(d.literal(4));
  return lanewise_of<uint32_t, uint32_t, uint32_t, uint32_t>(
      d, [](const Instruction& i, uint32_t a, uint32_t b, uint32_t c) { return by_table(i.mode, a, b, c); });
}

constexpr auto shifted_left = [](auto a, uint32_t by) {
  return by < 8 * sizeof a ? decltype(a)(a << by) : decltype(a)(0);
};
constexpr auto shifted_right = [](auto a, uint32_t by) {  // of a signed number: its sign comes in
  return decltype(a)(a >> std::min<uint32_t>(by, 8 * sizeof a - 1)) &
         (by < 8 * sizeof a || std::is_signed_v<decltype(a)> ? ~decltype(a)(0) : decltype(a)(0));
};

template <class F>
Handler shift(Decoder& d, F f) {
  return for_type<uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t>(
      d, d.type(), [&]<class T> { return lanewise<T, T, uint32_t>(d, f); });
}

Handler funnel_shift(Decoder& d) {
  d.instruction.wrap = d.take("wrap");
  d.take("clamp");
  static constexpr auto amount = [](const Instruction& i, uint32_t by) { return i.wrap ? by & 31 : std::min(by, 32u); };
  static constexpr auto pair = [](uint32_t low, uint32_t high) { return uint64_t(high) << 32 | low; };
  if (d.take("l"))
    return lanewise_of<uint32_t, uint32_t, uint32_t, uint32_t>(
        d, [](const Instruction& i, uint32_t low, uint32_t high, uint32_t by) {
          return uint32_t(pair(low, high) << amount(i, by) >> 32);
        });
  d.take("r");
  return lanewise_of<uint32_t, uint32_t, uint32_t, uint32_t>(
      d, [](const Instruction& i, uint32_t low, uint32_t high, uint32_t by) {
        return uint32_t(pair(low, high) >> amount(i, by));
      });
}

// Each nibble of the selector picks a byte of b:a, or spreads its sign.
constexpr auto permuted = [](uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t bytes = uint64_t(b) << 32 | a;
  uint32_t out = 0;
  for (int i = 0; i < 4; ++i) {
    uint32_t pick = selector >> (4 * i), byte = bytes >> (8 * (pick & 7)) & 255;
    out |= (pick & 8 ? (byte & 128 ? 255u : 0u) : byte) << (8 * i);
  }
  return out;
};

template <class F>
Handler count(Decoder& d, F f) {
  return for_type<uint32_t, int32_t, uint64_t, int64_t>(d, d.type(),
                                                        [&]<class T> { return lanewise<uint32_t, T>(d, f); });
}

// The index of the highest bit that differs from the sign.
constexpr auto highest_bit = [](auto a) {
  using U = std::make_unsigned_t<decltype(a)>;
  U bits = a < 0 ? U(~U(a)) : U(a);
  return bits ? uint32_t(8 * sizeof bits - 1 - std::countl_zero(bits)) : 0xFFFFFFFFu;
};

template <class T>
T reversed(T a) {
  T out = 0;
  for (size_t i = 0; i < 8 * sizeof a; ++i) out |= T(a >> i & 1) << (8 * sizeof a - 1 - i);
  return out;
}

uint64_t low_bits(unsigned count) { return count >= 64 ? ~uint64_t(0) : (uint64_t(1) << count) - 1; }

constexpr auto extracted = [](auto a, uint32_t position, uint32_t length) {
  using T = decltype(a);
  using U = std::make_unsigned_t<T>;
  constexpr unsigned bits = 8 * sizeof a;
  position &= 255, length &= 255;
  uint64_t field = position < bits ? U(a) >> position & low_bits(length) : 0;
  bool sign = std::is_signed_v<T> && length && U(a) >> std::min(position + length - 1, bits - 1) & 1;
  return T(sign ? field | ~low_bits(std::min(length, position < bits ? bits - position : 0)) : field);
};

constexpr auto inserted = [](auto field, auto into, uint32_t position, uint32_t length) {
  position &= 255, length &= 255;
  uint64_t mask = position < 64 ? low_bits(length) << position : 0;
  return decltype(field)((into & ~mask) | (position < 64 ? uint64_t(field) << position & mask : 0));
};

constexpr auto bit_mask = [](const Instruction& i, uint32_t position, uint32_t width) {
  if (i.wrap) position &= 31, width &= 31;
  return uint32_t(position < 32 ? low_bits(std::min(width, 32u)) << position : 0);
};

}  // namespace

void add_bit_ops(Table& table) {
  table["and"] = [](Decoder& d) { return logic<2>(d, [](auto a, auto b) { return a & b; }); };
  table["or"] = [](Decoder& d) { return logic<2>(d, [](auto a, auto b) { return a | b; }); };
  table["xor"] = [](Decoder& d) { return logic<2>(d, [](auto a, auto b) { return a ^ b; }); };
  table["not"] = [](Decoder& d) {
    if (d.type() == Type::pred) return lanewise<bool, bool>(d, [](bool a) { return !a; });
    return for_type<uint16_t, uint32_t, uint64_t>(d, d.type(),
                                                  [&]<class T> { return lanewise<T, T>(d, [](T a) { return ~a; }); });
  };
  table["cnot"] = [](Decoder& d) { return logic<1>(d, [](auto a) { return a == 0; }); };
  table["lop3"] = lop3;
  table["shl"] = [](Decoder& d) { return shift(d, shifted_left); };
  table["shr"] = [](Decoder& d) { return shift(d, shifted_right); };
  table["shf"] = funnel_shift;
  table["prmt"] = [](Decoder& d) { return lanewise<uint32_t, uint32_t, uint32_t, uint32_t>(d, permuted); };
  table["popc"] = [](Decoder& d) {
    return count(d, [](auto a) { return std::popcount(std::make_unsigned_t<decltype(a)>(a)); });
  };
  table["clz"] = [](Decoder& d) {
    return count(d, [](auto a) { return std::countl_zero(std::make_unsigned_t<decltype(a)>(a)); });
  };
  table["bfind"] = [](Decoder& d) { return count(d, highest_bit); };
  table["brev"] = [](Decoder& d) {
    return for_type<uint32_t, uint64_t>(d, d.type(),
                                        [&]<class T> { return lanewise<T, T>(d, [](T a) { return reversed(a); }); });
  };
  table["bfe"] = [](Decoder& d) {
    return for_type<uint32_t, int32_t, uint64_t, int64_t>(
        d, d.type(), [&]<class T> { return lanewise<T, T, uint32_t, uint32_t>(d, extracted); });
  };
  table["bfi"] = [](Decoder& d) {
    return for_type<uint32_t, uint64_t>(d, d.type(),
                                        [&]<class T> { return lanewise<T, T, T, uint32_t, uint32_t>(d, inserted); });
  };
  table["bmsk"] = [](Decoder& d) {
    d.instruction.wrap = d.take("wrap");
    d.take("clamp");
    return lanewise_of<uint32_t, uint32_t, uint32_t>(d, bit_mask);
  };
}

}  // namespace emulated
