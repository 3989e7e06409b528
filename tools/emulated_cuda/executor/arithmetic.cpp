// add, sub, mul, mad, fma, div, ... of integers and floats.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>

#include "decoder.h"

namespace emulated {

namespace {

// --- Floats. The small ones are computed in double and rounded. Where PTX says approx, the result is the exact one,
// rounded, which is better than a GPU's by an ulp or two: but for ex2 and rcp, which the losses are made of. ---

template <class T>
T prepared(const Instruction& instruction, T x) {
  return instruction.flush ? flushed(x) : x;
}

template <class T>
T finished(const Instruction& instruction, T x) {
  if (instruction.relu) x = x > T(0) || std::isnan(double(x)) ? x : T(0);
  if (instruction.saturate) x = saturated(x);
  return instruction.flush ? flushed(x) : x;
}

// Each lane holds so many elements of type T: two in an f16x2.
template <class T, int Elements, bool Modified, class F, size_t... I>
void run_floats(Warp& warp, const Instruction& instruction, Mask mask) {
  using Wide = std::conditional_t<is_small<T>, double, T>;
  std::optional<Rounding> rounding;
  if (Modified) rounding.emplace(instruction.rounding);
  T* out = warp.out<T>(instruction.operand[0]);
  const T* in[] = {warp.in<T>(instruction.operand[I + 1])...};
  each_alone(mask, [&](int lane) {
    for (int e = lane * Elements; e < (lane + 1) * Elements; ++e) {
      if constexpr (Modified)
        out[e] = finished(instruction, T(F{}(Wide(prepared(instruction, in[I][e]))...)));
      else
        out[e] = T(F{}(Wide(in[I][e])...));
    }
  });
}

template <class T, int Elements, size_t... I, class F>
Handler floats(Decoder& d, F, std::index_sequence<I...>) {
  using Register = std::conditional_t<Elements == 2, uint32_t, T>;
  d.bind<Register>(0);
  (d.bind<Register>(I + 1), ...);
  Instruction& i = d.instruction;
  i.rounding = take_rounding(d);
  i.flush = d.take("ftz");
  i.saturate = d.take("sat");
  i.relu = d.take("relu");
  if constexpr (!is_small<T>)  // the plain ones are worth a loop of their own
    if (i.rounding == FE_TONEAREST && !i.flush && !i.saturate && !i.relu)
      return run_floats<T, Elements, false, F, I...>;
  return run_floats<T, Elements, true, F, I...>;
}

template <int Inputs, class F>
Handler float_op(Decoder& d, F f) {
  constexpr auto inputs = std::make_index_sequence<Inputs>{};
  switch (d.type()) {
    case Type::f16: return floats<Half, 1>(d, f, inputs);
    case Type::bf16: return floats<BFloat16, 1>(d, f, inputs);
    case Type::f16x2: return floats<Half, 2>(d, f, inputs);
    case Type::bf16x2: return floats<BFloat16, 2>(d, f, inputs);
    case Type::f32: return floats<float, 1>(d, f, inputs);
    case Type::f64: return floats<double, 1>(d, f, inputs);
    default: d.unsupported();
  }
}

template <int Inputs, class F>
Handler approximate(Decoder& d, F f) {
  d.take("approx");
  return float_op<Inputs>(d, f);
}

// The result for x with an error of `lowest` to `highest` hundredths of 2^-24 before it is rounded, by chance but for
// the same x always the same. What a float can hold exactly stays exact.
float with_error(double result, float x, int lowest, int highest) {
  if (!std::isfinite(result) || double(float(result)) == result) return float(result);
  uint64_t bits = std::bit_cast<uint32_t>(x) * 0x9e3779b97f4a7c15u;
  bits = (bits ^ bits >> 32) * 0xd6e8feb86659fd93u;
  const double share = double(bits >> 11) * 0x1p-53;
  return float(result * (1 + (lowest + share * (highest - lowest)) * 0x1p-24 / 100));
}

// As an H100 was measured: off by -2.4 to 1.3 times 2^-24 for ex2, by 1.65 either way for rcp, rounding included.
constexpr auto rough_power = [](float x) { return with_error(std::exp2(double(x)), x, -150, 30); };
constexpr auto rough_reciprocal = [](float x) { return with_error(1 / double(x), x, -65, 65); };

template <class Rough, class F>
Handler rough(Decoder& d, Rough rough, F f) {
  const bool is_rough = d.take("approx") && d.type() == Type::f32;
  return is_rough ? float_op<1>(d, rough) : float_op<1>(d, f);
}

// Of two numbers the lesser; a NaN only if both are, or if a NaN should stay.
template <bool KeepNaN>
constexpr auto lesser = [](auto a, auto b) {
  if (std::isnan(a) || std::isnan(b)) return KeepNaN || std::isnan(a) == std::isnan(b) ? a + b : std::isnan(a) ? b : a;
  return a == b ? (std::signbit(a) ? a : b) : a < b ? a : b;
};
template <bool KeepNaN>
constexpr auto greater = [](auto a, auto b) { return -lesser<KeepNaN>(-a, -b); };

// --- Integers: modulo 2^n. ---

template <int Inputs, class F>
Handler integer_op(Decoder& d, F f) {
  return for_type<uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t>(d, d.type(), [&]<class T> {
    if constexpr (Inputs == 1)
      return lanewise<T, T>(d, f);
    else
      return lanewise<T, T, T>(d, f);
  });
}

template <int Inputs, class F>
Handler number_op(Decoder& d, F f) {
  return is_float_type(d.type()) ? float_op<Inputs>(d, f) : integer_op<Inputs>(d, f);
}

template <class T, class Signed, class Unsigned>
using like = std::conditional_t<std::is_signed_v<T>, Signed, Unsigned>;
template <class T>
using twice = std::conditional_t<
    sizeof(T) == 2, like<T, int32_t, uint32_t>,
    std::conditional_t<sizeof(T) == 4, like<T, int64_t, uint64_t>, like<T, __int128, unsigned __int128>>>;

constexpr auto high_product = [](auto a, auto b) {
  using T = decltype(a);
  return T((twice<T>(a) * twice<T>(b)) >> (8 * sizeof(T)));
};

Handler multiply(Decoder& d) {
  if (is_float_type(d.type())) return float_op<2>(d, [](auto a, auto b) { return a * b; });
  if (d.take("wide"))
    return for_type<uint16_t, int16_t, uint32_t, int32_t>(d, d.type(), [&]<class T> {
      return lanewise<twice<T>, T, T>(d, [](T a, T b) { return twice<T>(a) * twice<T>(b); });
    });
  if (d.take("hi")) return integer_op<2>(d, high_product);
  d.take("lo");
  return integer_op<2>(d, [](auto a, auto b) { return a * b; });
}

Handler multiply_add(Decoder& d) {
  if (is_float_type(d.type())) return float_op<3>(d, [](auto a, auto b, auto c) { return std::fma(a, b, c); });
  if (d.take("wide"))
    return for_type<uint16_t, int16_t, uint32_t, int32_t>(d, d.type(), [&]<class T> {
      return lanewise<twice<T>, T, T, twice<T>>(d, [](T a, T b, twice<T> c) { return twice<T>(a) * twice<T>(b) + c; });
    });
  bool high = d.take("hi");
  d.take("lo");
  return for_type<uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t>(d, d.type(), [&]<class T> {
    if (high) return lanewise<T, T, T, T>(d, [](T a, T b, T c) { return T(high_product(a, b) + c); });
    return lanewise<T, T, T, T>(d, [](T a, T b, T c) { return T(a * b + c); });
  });
}

// A division by zero gives what GPUs give; INT_MIN / -1 must not stop the host.
constexpr auto quotient = [](auto a, auto b) {
  using T = decltype(a);
  return b == 0 ? T(-1) : std::is_signed_v<T> && b == T(-1) ? T(-a) : T(a / b);
};
constexpr auto remainder = [](auto a, auto b) {
  using T = decltype(a);
  return b == 0 ? a : std::is_signed_v<T> && b == T(-1) ? T(0) : T(a % b);
};

Handler divide(Decoder& d) {
  if (!is_float_type(d.type())) return integer_op<2>(d, quotient);
  d.take("full");
  return approximate<2>(d, [](auto a, auto b) { return a / b; });
}

template <bool Least>
Handler extreme(Decoder& d) {
  if (!is_float_type(d.type()))
    return integer_op<2>(d, [](auto a, auto b) { return Least ? std::min(a, b) : std::max(a, b); });
  if (d.take("NaN")) return Least ? float_op<2>(d, lesser<true>) : float_op<2>(d, greater<true>);
  return Least ? float_op<2>(d, lesser<false>) : float_op<2>(d, greater<false>);
}

}  // namespace

void add_arithmetic_ops(Table& table) {
  table["add"] = [](Decoder& d) { return number_op<2>(d, [](auto a, auto b) { return a + b; }); };
  table["sub"] = [](Decoder& d) { return number_op<2>(d, [](auto a, auto b) { return a - b; }); };
  table["neg"] = [](Decoder& d) { return number_op<1>(d, [](auto a) { return -a; }); };
  table["abs"] = [](Decoder& d) {
    return is_float_type(d.type()) ? float_op<1>(d, [](auto a) { return std::fabs(a); })
                                   : integer_op<1>(d, [](auto a) { return a < 0 ? -a : a; });
  };
  table["mul"] = multiply;
  table["mad"] = table["fma"] = multiply_add;
  table["div"] = divide;
  table["rem"] = [](Decoder& d) { return integer_op<2>(d, remainder); };
  table["min"] = extreme<true>;
  table["max"] = extreme<false>;
  table["copysign"] = [](Decoder& d) { return float_op<2>(d, [](auto a, auto b) { return std::copysign(b, a); }); };
  table["sqrt"] = [](Decoder& d) { return approximate<1>(d, [](auto x) { return std::sqrt(x); }); };
  table["rcp"] = [](Decoder& d) { return rough(d, rough_reciprocal, [](auto x) { return 1 / x; }); };
  table["rsqrt"] = [](Decoder& d) { return approximate<1>(d, [](auto x) { return 1 / std::sqrt(double(x)); }); };
  table["ex2"] = [](Decoder& d) { return rough(d, rough_power, [](auto x) { return std::exp2(double(x)); }); };
  table["lg2"] = [](Decoder& d) { return approximate<1>(d, [](auto x) { return std::log2(double(x)); }); };
  table["sin"] = [](Decoder& d) { return approximate<1>(d, [](auto x) { return std::sin(double(x)); }); };
  table["cos"] = [](Decoder& d) { return approximate<1>(d, [](auto x) { return std::cos(double(x)); }); };
  table["tanh"] = [](Decoder& d) { return approximate<1>(d, [](auto x) { return std::tanh(double(x)); }); };
}

}  // namespace emulated
