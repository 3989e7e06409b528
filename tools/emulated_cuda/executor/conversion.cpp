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
  if (std::isnan(x))
    return !from_or_to_64_bits ? To(0) : std::is_signed_v<To> ? Limits::min() : To(To(1) << (Limits::digits - 1));
  if (x >= std::ldexp(1.0, Limits::digits)) return Limits::max();
  return x <= double(Limits::min()) ? Limits::min() : To(x);
}

// From a type that holds all values of the source exactly: double, int64_t or uint64_t.
template <class To, class From>
To converted(const Instruction& i, From x) {
  if constexpr (std::is_same_v<From, double> && is_float<To>) {
    if (i.flush && std::fabs(x) < double(std::numeric_limits<float>::min())) x = std::copysign(0.0, x);
    To y = To(to_integer(ToInteger(i.mode), x));
    if (i.relu && !(double(y) > 0) && !std::isnan(double(y))) y = To(0.0);
    if (i.saturate) y = To(saturated(double(y)));
    return i.flush ? flushed(y) : y;
  } else if constexpr (std::is_same_v<From, double>) {
    if (i.flush && std::fabs(x) < double(std::numeric_limits<float>::min())) x = 0;
    return clamped<To>(to_integer(ToInteger(i.mode), x), Type(i.source) == Type::f64 || sizeof(To) == 8);
  } else if constexpr (is_small<To>) {
    return To(double(x));
  } else if constexpr (is_float<To>) {
    return To(x);
  } else {
    return i.saturate ? To(std::clamp<__int128>(x, std::numeric_limits<To>::min(), std::numeric_limits<To>::max()))
                      : To(x);
  }
}

double whole_float(Type type, uint64_t bits) {
  switch (type) {
    case Type::f16: return Half::of(uint16_t(bits));
    case Type::bf16: return BFloat16::of(uint16_t(bits));
    case Type::f32: return std::bit_cast<float>(uint32_t(bits));
    default: return std::bit_cast<double>(bits);
  }
}

uint64_t whole_unsigned(Type type, uint64_t bits) {
  switch (type) {
    case Type::u8: return uint8_t(bits);
    case Type::u16: return uint16_t(bits);
    case Type::u32: return uint32_t(bits);
    default: return bits;
  }
}

int64_t whole_signed(Type type, uint64_t bits) {
  switch (type) {
    case Type::s8: return int8_t(bits);
    case Type::s16: return int16_t(bits);
    case Type::s32: return int32_t(bits);
    default: return int64_t(bits);
  }
}

template <class To>
uint64_t bits_of(To value) {
  if constexpr (std::is_integral_v<To>) return uint64_t(int64_t(value));  // for a wider register, with its sign
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

// The registers may be wider than the types.
template <class To, auto whole>
void convert(Warp& warp, const Instruction& instruction, Mask mask) {
  Rounding rounding(instruction.rounding);
  each(mask, [&](int lane) {
    auto x = whole(Type(instruction.source), warp.bits(instruction.operand[1], lane));
    warp.set_bits(instruction.operand[0], lane, bits_of(converted<To>(instruction, x)));
  });
}

// cvt.rn.f16x2.f32 d, a, b: a above b.
template <class Small>
void convert_pair(Warp& warp, const Instruction& instruction, Mask mask) {
  Rounding rounding(instruction.rounding);
  auto* out = warp.out<uint32_t>(instruction.operand[0]);
  const float *high = warp.in<float>(instruction.operand[1]), *low = warp.in<float>(instruction.operand[2]);
  each(mask, [&](int lane) {
    uint32_t above = converted<Small>(instruction, double(high[lane])).bits;
    out[lane] = above << 16 | converted<Small>(instruction, double(low[lane])).bits;
  });
}

Handler cvt(Decoder& d) {
  Instruction& i = d.instruction;
  i.rounding = take_rounding(d);
  i.mode = uint8_t(take_to_integer(d));
  i.flush = d.take("ftz");
  i.saturate = d.take("sat");
  i.relu = d.take("relu");
  Type to = d.type(0), from = d.type(1);
  if (to == Type::f16x2 || to == Type::bf16x2) {
    d.bind<uint32_t>(0);
    d.bind<float>(1);
    d.bind<float>(2);
    return to == Type::f16x2 ? convert_pair<Half> : convert_pair<BFloat16>;
  }
  d.bind(0, 8);
  d.bind(1, 8);
  i.source = uint8_t(from);
  return for_type<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t, Half, BFloat16, float,
                  double>(d, to, [&]<class To> {
    if (is_float_type(from)) return &convert<To, whole_float>;
    return is_signed_type(from) ? &convert<To, whole_signed> : &convert<To, whole_unsigned>;
  });
}

size_t bytes_of(Type type) {
  switch (type) {
    case Type::pred:
    case Type::u8:
    case Type::s8: return 1;
    case Type::u16:
    case Type::s16:
    case Type::f16:
    case Type::bf16: return 2;
    case Type::u64:
    case Type::s64:
    case Type::f64: return 8;
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
  each_alone(mask, [&](int lane) { out[lane] = in[lane]; });
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
  return d.take("shared")                      ? shared_window
         : d.take("local")                     ? local_window
         : d.take("global") || d.take("const") ? 0
                                               : d.unsupported();
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
