// The options of a loss, by name, and the table that says which of them a loss takes.
#pragma once

#include "number.h"

namespace iouloss {

// LIST is a list of X(type, name), where the type is that of the input of the operator. IOULOSS_OPTIONS(Name, LIST)
// defines a struct that has one number for each. take(in) copies those options that `in`, the inputs of a call, has.
// The constructor converts the number type.
#define IOULOSS_OPTION_MEMBER(type, name) T name = T(0);
#define IOULOSS_OPTION_CONVERTED(type, name) name = T(other.name);
#define IOULOSS_OPTION_TAKEN(type, name) \
  if constexpr (requires { in.name; }) name = T(in.name);

#define IOULOSS_OPTIONS(Name, LIST)                          \
  template <class T>                                         \
  struct Name {                                              \
    LIST(IOULOSS_OPTION_MEMBER)                              \
    Name() = default;                                        \
    template <class U>                                       \
    IOULOSS_INLINE explicit Name(const Name<U>& other) {     \
      LIST(IOULOSS_OPTION_CONVERTED)                         \
    }                                                        \
    void take(const auto& in) { LIST(IOULOSS_OPTION_TAKEN) } \
  }

// Which numbers an option may be. All of them must be finite, in float32 too.
enum class Range : int { finite, not_negative, positive, fraction };
inline constexpr const char* range_names[] = {"finite", "not_negative", "positive", "fraction"};

template <class Options>
struct OptionRule {
  const char* name = nullptr;
  Range range{};
  double Options::* value = nullptr;
};

// A row of a shape's table of losses: the name that callers choose the loss by, the enumerator that kernels know it by,
// and a rule for each option that it takes. Rules that are not needed stay empty.
template <class Formula, class Options_>
struct LossRow {
  using Options = Options_;
  const char* name;
  Formula formula;
  OptionRule<Options> rules[5];
};

// The tables write the rule of an option with these.
#define FINITE(name) {#name, Range::finite, &Options::name}
#define NOT_NEGATIVE(name) {#name, Range::not_negative, &Options::name}
#define POSITIVE(name) {#name, Range::positive, &Options::name}
#define FRACTION(name) {#name, Range::fraction, &Options::name}

// LOSSES is a list of X(name, formula, options...). IOULOSS_FORMULAS makes the enum by which the kernels tell losses
// apart, IOULOSS_TABLE the table that operators look names up in.
#define IOULOSS_FORMULA_NAME(name, ...) name,
#define IOULOSS_FORMULAS(Formula, LOSSES) enum class Formula : int { LOSSES(IOULOSS_FORMULA_NAME) }

#define IOULOSS_LOSS_ROW(name, formula, ...) {#name, Formula::name, {__VA_ARGS__}},
#define IOULOSS_TABLE(Name, Formula_, Options_, LOSSES)                             \
  struct Name {                                                                     \
    using Formula = Formula_;                                                       \
    using Options = Options_<double>;                                               \
    static constexpr LossRow<Formula, Options> rows[] = {LOSSES(IOULOSS_LOSS_ROW)}; \
  }

}  // namespace iouloss
