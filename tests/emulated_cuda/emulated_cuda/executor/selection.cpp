// Comparisons and what is chosen by them.
#include "decoder.h"

namespace emulated {

namespace {

// The result r of a comparison, combined with a predicate where the instruction has one.
bool combined(Combine combine, bool r, bool with) {
  switch (combine) {
    case Combine::none: return r;
    case Combine::conjunction: return r && with;
    case Combine::disjunction: return r || with;
    case Combine::exclusive: return r != with;
  }
  return r;
}

// setp p[|q], a, b[, c]: p = (a ? b) and c, q = !(a ? b) and c.
template <class T, class F>
void compare(Warp& warp, const Instruction& instruction, Mask mask) {
  const Operand* operand = instruction.operand;
  const bool with_predicate = instruction.combine != Combine::none;
  const bool two_results = instruction.operands == 4 + with_predicate;
  const Operand* rest = operand + 1 + two_results;
  bool* out = warp.out<bool>(operand[0]);
  const T *a = warp.in<T>(rest[0]), *b = warp.in<T>(rest[1]);
  if (!with_predicate && !two_results) return each(mask, [&](int lane) { out[lane] = F{}(a[lane], b[lane]); });
  each(mask, [&](int lane) {
    bool r = F{}(a[lane], b[lane]), with = with_predicate && warp.predicate(rest[2], lane);
    out[lane] = combined(instruction.combine, r, with);
    if (two_results) warp.out<bool>(operand[1])[lane] = combined(instruction.combine, !r, with);
  });
}

Combine take_combine(Decoder& d) {
  return d.take("and")  ? Combine::conjunction
         : d.take("or") ? Combine::disjunction
         : d.take("xor") ? Combine::exclusive
                         : Combine::none;
}

template <class F>
Handler comparison(Decoder& d, F) {
  Instruction& i = d.instruction;
  i.combine = take_combine(d);
  bool with_predicate = i.combine != Combine::none;
  int results = d.operands() == 4 + with_predicate ? 2 : 1;
  for (int k = 0; k < results; ++k) d.bind<bool>(k);
  if (with_predicate) d.bind<bool>(results + 2);
  return for_type<uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t, Half, BFloat16, float, double>(
      d, d.type(), [&]<class T> {
        d.bind<T>(results);
        d.bind<T>(results + 1);
        return &compare<T, F>;
      });
}

// The small floats compare as doubles, exactly. A comparison with NaN is false, unless it asks for that.
constexpr auto is_nan = [](auto x) { return x != x; };

Handler setp(Decoder& d) {
  d.take("ftz") && d.unsupported();
  if (d.take("eq")) return comparison(d, [](auto a, auto b) { return a == b; });
  if (d.take("ne")) return comparison(d, [](auto a, auto b) { return a != b && !is_nan(+a) && !is_nan(+b); });
  if (d.take("lt") || d.take("lo")) return comparison(d, [](auto a, auto b) { return a < b; });
  if (d.take("le") || d.take("ls")) return comparison(d, [](auto a, auto b) { return a <= b; });
  if (d.take("gt") || d.take("hi")) return comparison(d, [](auto a, auto b) { return a > b; });
  if (d.take("ge") || d.take("hs")) return comparison(d, [](auto a, auto b) { return a >= b; });
  if (d.take("equ")) return comparison(d, [](auto a, auto b) { return a == b || is_nan(+a) || is_nan(+b); });
  if (d.take("neu")) return comparison(d, [](auto a, auto b) { return !(a == b); });
  if (d.take("ltu")) return comparison(d, [](auto a, auto b) { return !(a >= b); });
  if (d.take("leu")) return comparison(d, [](auto a, auto b) { return !(a > b); });
  if (d.take("gtu")) return comparison(d, [](auto a, auto b) { return !(a <= b); });
  if (d.take("geu")) return comparison(d, [](auto a, auto b) { return !(a < b); });
  if (d.take("num")) return comparison(d, [](auto a, auto b) { return !is_nan(+a) && !is_nan(+b); });
  if (d.take("nan")) return comparison(d, [](auto a, auto b) { return is_nan(+a) || is_nan(+b); });
  d.unsupported();
}

// set.compare.result.type: all ones, or 1.0, where it holds.
template <class Result, class F>
Handler set_as(Decoder& d, F) {
  return for_type<uint32_t, int32_t, float>(d, d.type(1), [&]<class T> {
    return lanewise<Result, T, T>(d, [](T a, T b) {
      constexpr Result yes = std::is_floating_point_v<Result> ? Result(1) : Result(-1);
      return F{}(a, b) ? yes : Result(0);
    });
  });
}

template <class F>
Handler set_by(Decoder& d, F f) {
  return for_type<uint32_t, int32_t, float>(d, d.type(0), [&]<class Result> { return set_as<Result>(d, f); });
}

Handler set(Decoder& d) {
  if (d.take("eq")) return set_by(d, [](auto a, auto b) { return a == b; });
  if (d.take("lt")) return set_by(d, [](auto a, auto b) { return a < b; });
  if (d.take("le")) return set_by(d, [](auto a, auto b) { return a <= b; });
  if (d.take("gt")) return set_by(d, [](auto a, auto b) { return a > b; });
  if (d.take("ge")) return set_by(d, [](auto a, auto b) { return a >= b; });
  if (d.take("neu")) return set_by(d, [](auto a, auto b) { return !(a == b); });
  d.unsupported();
}

template <class F>
Handler by_width(Decoder& d, F f) {
  switch (d.type(0)) {
    case Type::u16: case Type::s16: case Type::f16: case Type::bf16: return f.template operator()<uint16_t>();
    case Type::u64: case Type::s64: return f.template operator()<uint64_t>();
    case Type::f32: return f.template operator()<float>();
    case Type::f64: return f.template operator()<double>();
    default: return f.template operator()<uint32_t>();
  }
}

template <class F>
Handler property(Decoder& d, F f) {
  return for_type<float, double>(d, d.type(), [&]<class T> { return lanewise<bool, T>(d, f); });
}

Handler testp(Decoder& d) {
  if (d.take("finite")) return property(d, [](auto x) { return std::isfinite(x); });
  if (d.take("infinite")) return property(d, [](auto x) { return std::isinf(x); });
  if (d.take("number")) return property(d, [](auto x) { return !std::isnan(x); });
  if (d.take("notanumber")) return property(d, [](auto x) { return std::isnan(x); });
  if (d.take("normal")) return property(d, [](auto x) { return std::isnormal(x); });
  if (d.take("subnormal")) return property(d, [](auto x) { return std::fpclassify(x) == FP_SUBNORMAL; });
  d.unsupported();
}

}  // namespace

void add_selection_ops(Table& table) {
  table["setp"] = setp;
  table["set"] = set;
  table["testp"] = testp;
  table["selp"] = [](Decoder& d) {
    return by_width(d, [&]<class T> {
      return lanewise<T, T, T, bool>(d, [](T a, T b, bool p) { return p ? a : b; });
    });
  };
  table["slct"] = [](Decoder& d) {
    return by_width(d, [&]<class T> {
      if (d.type(1) == Type::f32) return lanewise<T, T, T, float>(d, [](T a, T b, float c) { return c >= 0 ? a : b; });
      return lanewise<T, T, T, int32_t>(d, [](T a, T b, int32_t c) { return c >= 0 ? a : b; });
    });
  };
}

}  // namespace emulated
