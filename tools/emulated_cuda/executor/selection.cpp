// Comparisons and what is chosen by them.
#include "decoder.h"

namespace emulated {

namespace {

// How two numbers may lie; a comparison is the set of those for which it holds.
enum Relation : unsigned { less, equal, greater, unordered };

template <class T>
Relation relation(T a, T b) {
  return a < b ? less : a == b ? equal : a > b ? greater : unordered;
}

struct Comparison {
  std::string_view name;
  unsigned relations;
};
constexpr unsigned L = 1 << less, E = 1 << equal, G = 1 << greater, U = 1 << unordered;
constexpr Comparison comparisons[] = {
    {"eq", E},      {"ne", L | G},      {"lt", L},      {"le", L | E},      {"gt", G},      {"ge", G | E},
    {"equ", E | U}, {"neu", L | G | U}, {"ltu", L | U}, {"leu", L | E | U}, {"gtu", G | U}, {"geu", G | E | U},
    {"lo", L},      {"ls", L | E},      {"hi", G},      {"hs", G | E},      {"nan", U},     {"num", L | E | G},
};

void take_comparison(Decoder& d) {
  for (const Comparison& comparison : comparisons)
    if (d.take(comparison.name)) d.instruction.mode = uint8_t(comparison.relations);
  if (!d.instruction.mode) d.unsupported();
}

template <class T>
bool holds(const Instruction& instruction, T a, T b) {
  if (instruction.flush) a = flushed(a), b = flushed(b);
  return instruction.mode >> relation(a, b) & 1;
}

bool combined(Combine combine, bool r, bool with) {
  switch (combine) {
    case Combine::none: return r;
    case Combine::conjunction: return r && with;
    case Combine::disjunction: return r || with;
    case Combine::exclusive: return r != with;
  }
  return r;
}

// setp p[|q], a, b[, c]: p = (a ? b) and c, q = !(a ? b) and c. The small floats compare as doubles.
template <class T>
void compare(Warp& warp, const Instruction& instruction, Mask mask) {
  const Operand* operand = instruction.operand;
  const bool with_predicate = instruction.combine != Combine::none;
  const bool two_results = instruction.operands == 4 + with_predicate;
  const Operand* rest = operand + 1 + two_results;
  bool* out = warp.out<bool>(operand[0]);
  const T *a = warp.in<T>(rest[0]), *b = warp.in<T>(rest[1]);
  if (!with_predicate && !two_results)
    return each_alone(mask, [&](int lane) { out[lane] = holds(instruction, +a[lane], +b[lane]); });
  each(mask, [&](int lane) {
    bool r = holds(instruction, +a[lane], +b[lane]), with = with_predicate && warp.predicate(rest[2], lane);
    out[lane] = combined(instruction.combine, r, with);
    if (two_results) warp.out<bool>(operand[1])[lane] = combined(instruction.combine, !r, with);
  });
}

Handler setp(Decoder& d) {
  Instruction& i = d.instruction;
  take_comparison(d);
  i.flush = d.take("ftz");
  i.combine = d.take("and")   ? Combine::conjunction
              : d.take("or")  ? Combine::disjunction
              : d.take("xor") ? Combine::exclusive
                              : Combine::none;
  const bool with_predicate = i.combine != Combine::none;
  const int results = d.operands() == 4 + with_predicate ? 2 : 1;
  for (int k = 0; k < results; ++k) d.bind<bool>(k);
  if (with_predicate) d.bind<bool>(results + 2);
  return for_type<uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t, Half, BFloat16, float, double>(
      d, d.type(), [&]<class T> {
        d.bind<T>(results);
        d.bind<T>(results + 1);
        return &compare<T>;
      });
}

// set.comparison.result.type: all ones, or 1.0, where it holds.
template <class Result, class T>
Handler set_as(Decoder& d) {
  return lanewise_of<Result, T, T>(d, [](const Instruction& i, T a, T b) {
    constexpr Result yes = std::is_floating_point_v<Result> ? Result(1) : Result(-1);
    return holds(i, a, b) ? yes : Result(0);
  });
}

Handler set(Decoder& d) {
  take_comparison(d);
  d.instruction.flush = d.take("ftz");
  return for_type<uint32_t, int32_t, float>(
      d, d.type(1), [&]<class T> { return d.type(0) == Type::f32 ? set_as<float, T>(d) : set_as<uint32_t, T>(d); });
}

template <class F>
Handler by_width(Decoder& d, F f) {
  switch (d.type(0)) {
    case Type::u16:
    case Type::s16:
    case Type::f16:
    case Type::bf16: return f.template operator()<uint16_t>();
    case Type::u64:
    case Type::s64: return f.template operator()<uint64_t>();
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
    return by_width(d, [&]<class T> { return lanewise<T, T, T, bool>(d, [](T a, T b, bool p) { return p ? a : b; }); });
  };
  table["slct"] = [](Decoder& d) {
    return by_width(d, [&]<class T> {
      if (d.type(1) == Type::f32) return lanewise<T, T, T, float>(d, [](T a, T b, float c) { return c >= 0 ? a : b; });
      return lanewise<T, T, T, int32_t>(d, [](T a, T b, int32_t c) { return c >= 0 ? a : b; });
    });
  };
}

}  // namespace emulated
