// mov, cvt, and addresses from one space to another.
#include <algorithm>

#include "decoder.h"

namespace emulated {

namespace {

enum class ToInteger : uint8_t { none, nearest, zero, down, up };  // .rni .rzi .rmi .rpi

ToInteger take_to_integer(Decoder& d) {
  return d.take("rni")   ? ToInteger::nearest
         : d.take("rzi") ? ToInteger::zero
         : d.take("rmi") ? ToInteger::down
         : d.take("rpi") ? ToInteger::up
                         : ToInteger::none;
}

double to_integer(ToInteger rounding, double x) {
  switch (rounding) {
    case ToInteger::none: return x;
    case ToInteger::nearest: return std::nearbyint(x);
    case ToInteger::zero: return std::trunc(x);
    case ToInteger::down: return std::floor(x);
    case ToInteger::up: return std::ceil(x);
  }
  return x;
}

template <class To>
To clamped(double x, bool from_or_to_64_bits) {
  using Limits = std::numeric_limits<To>;
  if (std::isnan(x)) return !from_or_to_64_bits ? To(0) : std::is_signed_v<To> ? Limits::min() : To(To(1) << (Limits::digits - 1));
  if (x >= std::ldexp(1.0, Limits::digits)) return Limits::max();
  return x <= double(Limits::min()) ? Limits::min() : To(x);
}

template <class To, class From>
To converted(const Instruction& i, From from) {
  if constexpr (is_float<From> && is_float<To>) {
    auto x = from;
    if (i.flush) x = flushed(x);
    To y = To(i.mode ? to_integer(ToInteger(i.mode), double(x)) : double(x));
    if (i.relu && !(double(y) > 0) && !std::isnan(double(y))) y = To(0.0);
    if (i.saturate) y = To(saturated(double(y)));
    return i.flush ? flushed(y) : y;
  } else if constexpr (is_float<From>) {
    double x = i.flush ? flushed(from) : from;
    return clamped<To>(to_integer(ToInteger(i.mode), x), sizeof(From) == 8 || sizeof(To) == 8);
  } else if constexpr (std::is_floating_point_v<To>) {
    return To(from);
  } else if constexpr (is_small<To>) {
    return To(double(from));
  } else if (i.saturate) {
    using Limits = std::numeric_limits<To>;
    return To(std::clamp<__int128>(from, Limits::min(), Limits::max()));
  } else {
    return To(from);
  }
}

// The registers may be wider than the types.
template <class To, class From>
void convert(Warp& warp, const Instruction& instruction, Mask mask) {
  Rounding rounding(instruction.rounding);
  const Operand &to = instruction.operand[0], &from = instruction.operand[1];
  if (to.width == sizeof(To) && from.width == sizeof(From)) {
    To* out = warp.out<To>(to);
    const From* in = warp.in<From>(from);
    return each(mask, [&](int lane) { out[lane] = converted<To>(instruction, in[lane]); });
  }
  each(mask, [&](int lane) {
    From x;
    uint64_t bits = warp.bits(from, lane);
    std::memcpy(static_cast<void*>(&x), &bits, sizeof x);
    To y = converted<To>(instruction, x);
    if constexpr (std::is_integral_v<To>) bits = uint64_t(int64_t(y));  // its sign goes along
    else std::memcpy(&(bits = 0), &y, sizeof y);
    warp.set_bits(to, lane, bits);
  });
}

// cvt.rn.f16x2.f32 d, a, b: a above b.
template <class Small>
void convert_pair(Warp& warp, const Instruction& instruction, Mask mask) {
  Rounding rounding(instruction.rounding);
  auto* out = warp.out<uint32_t>(instruction.operand[0]);
  const float *high = warp.in<float>(instruction.operand[1]), *low = warp.in<float>(instruction.operand[2]);
  each(mask, [&](int lane) {
    out[lane] = uint32_t(converted<Small>(instruction, high[lane]).bits) << 16 | converted<Small>(instruction, low[lane]).bits;
  });
}

Handler cvt(Decoder& d) {
  Instruction& i = d.instruction;
  i.rounding = d.take("rz") ? FE_TOWARDZERO : d.take("rm") ? FE_DOWNWARD : d.take("rp") ? FE_UPWARD : FE_TONEAREST;
  d.take("rn");
  i.mode = uint8_t(take_to_integer(d));
  i.flush = d.take("ftz");
  i.saturate = d.take("sat");
  i.relu = d.take("relu");
  if (d.type(0) == Type::f16x2 || d.type(0) == Type::bf16x2) {
    if (d.type(1) != Type::f32) d.unsupported();
    d.bind<uint32_t>(0);
    d.bind<float>(1);
    d.bind<float>(2);
    return d.type(0) == Type::f16x2 ? convert_pair<Half> : convert_pair<BFloat16>;
  }
  auto from_each = [&]<class To>() {
    return for_type<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t, Half, BFloat16, float,
                    double>(d, d.type(1), [&]<class From> {
      d.bind(0, sizeof(To));
      d.bind(1, sizeof(From));
      return &convert<To, From>;
    });
  };
  return for_type<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t, Half, BFloat16, float,
                  double>(d, d.type(0), from_each);
}

size_t bytes_of(Type type) {
  switch (type) {
    case Type::pred: case Type::u8: case Type::s8: return 1;
    case Type::u16: case Type::s16: case Type::f16: case Type::bf16: return 2;
    case Type::u64: case Type::s64: case Type::f64: return 8;
    default: return 4;
  }
}

void move(Warp& warp, const Instruction& instruction, Mask mask) {
  each(mask, [&](int lane) { warp.set_bits(instruction.operand[0], lane, warp.bits(instruction.operand[1], lane)); });
}

template <class T>
void move_as(Warp& warp, const Instruction& instruction, Mask mask) {
  T* out = warp.out<T>(instruction.operand[0]);
  const T* in = warp.in<T>(instruction.operand[1]);
  each(mask, [&](int lane) { out[lane] = in[lane]; });
}

// mov d, {a, b, ...}: the first part is the lowest.
void pack(Warp& warp, const Instruction& instruction, Mask mask) {
  each(mask, [&](int lane) {
    uint64_t whole = 0;
    for (int k = instruction.operands - 1; k > 0; --k)
      whole = whole << (8 * instruction.operand[k].width) | warp.bits(instruction.operand[k], lane);
    warp.set_bits(instruction.operand[0], lane, whole);
  });
}

void unpack(Warp& warp, const Instruction& instruction, Mask mask) {
  const int parts = instruction.operands - 1;
  each(mask, [&](int lane) {
    uint64_t whole = warp.bits(instruction.operand[parts], lane);
    for (int k = 0; k < parts; ++k) {
      warp.set_bits(instruction.operand[k], lane, whole);
      whole >>= 8 * instruction.operand[k].width;
    }
  });
}

Handler mov(Decoder& d) {
  const size_t bytes = bytes_of(d.type());
  const int parts = d.operands() - 1;
  for (int k = 0; k <= parts; ++k) {
    bool whole = parts == 1 || d.is_register_of(k, bytes);
    d.bind(k, whole ? bytes : bytes / parts);
  }
  const Operand* operand = d.instruction.operand;
  if (parts > 1) return operand[0].width == bytes ? pack : unpack;
  if (operand[0].width != operand[1].width) return move;
  switch (bytes) {
    case 4: return move_as<uint32_t>;
    case 8: return move_as<uint64_t>;
    default: return move;
  }
}

uint64_t window_of(Decoder& d) {
  return d.take("shared") ? shared_window : d.take("local") ? local_window : d.take("global") || d.take("const") ? 0 : d.unsupported();
}

Handler cvta(Decoder& d) {
  uint64_t window = window_of(d);
  d.instruction.offset = d.take("to") ? -int64_t(window) : int64_t(window);
  return lanewise_of<uint64_t, uint64_t>(d, [](const Instruction& i, uint64_t a) { return a + i.offset; });
}

Handler isspacep(Decoder& d) {
  if (d.take("shared"))
    return lanewise<bool, uint64_t>(d, [](uint64_t a) { return a >= shared_window && a < local_window; });
  if (d.take("local")) return lanewise<bool, uint64_t>(d, [](uint64_t a) { return a >= local_window; });
  if (d.take("global")) return lanewise<bool, uint64_t>(d, [](uint64_t a) { return a < shared_window; });
  d.take("const");
  return lanewise<bool, uint64_t>(d, [](uint64_t) { return false; });
}

}  // namespace

void add_conversion_ops(Table& table) {
  table["mov"] = mov;
  table["cvt"] = cvt;
  table["cvta"] = cvta;
  table["isspacep"] = isspacep;
}

}  // namespace emulated
