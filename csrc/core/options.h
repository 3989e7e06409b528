// The options of a loss, by name, and the table that says which of them a loss takes.
#pragma once

#include "number.h"

namespace iouloss {

// A struct with a number for each option that LIST names. It converts to one of another number type, and takes from a
// call's inputs those that have the same name there.
#define IOULOSS_OPTION_MEMBER(name) T name = T(0);
#define IOULOSS_OPTION_CONVERTED(name) name = T(other.name);
#define IOULOSS_OPTION_TAKEN(name) \
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

// What an option may be. All are finite, in float32 as well.
enum class Range : int { finite, not_negative, positive, fraction };
inline constexpr const char* range_names[] = {"finite", "not_negative", "positive", "fraction"};

template <class Options>
struct OptionRule {
  const char* name = nullptr;
  Range range{};
  double Options::* value = nullptr;
};

// A row of a shape's table of losses: the name by which callers choose the loss, what the kernels know it by, and the
// options it takes; the rest of them are empty.
template <class Formula, class Options_>
struct LossRow {
  using Options = Options_;
  const char* name;
  Formula formula;
  OptionRule<Options> rules[5];
};

// The tables name options by these.
#define FINITE(name) {#name, Range::finite, &Options::name}
#define NOT_NEGATIVE(name) {#name, Range::not_negative, &Options::name}
#define POSITIVE(name) {#name, Range::positive, &Options::name}
#define FRACTION(name) {#name, Range::fraction, &Options::name}

// LOSSES is a list of X(name, formula, options...). What the kernels know its losses by:
#define IOULOSS_FORMULA_NAME(name, ...) name,
#define IOULOSS_FORMULAS(Formula, LOSSES) enum class Formula : int { LOSSES(IOULOSS_FORMULA_NAME) }

// The table of the losses. Operators have the name under `argument_name`.
#define IOULOSS_LOSS_ROW(name, formula, ...) {#name, Formula::name, {__VA_ARGS__}},
#define IOULOSS_TABLE(Name, Formula_, Options_, argument_name, LOSSES)              \
  struct Name {                                                                     \
    using Formula = Formula_;                                                       \
    using Options = Options_<double>;                                               \
    static constexpr auto argument = argument_name;                                 \
    static constexpr LossRow<Formula, Options> rows[] = {LOSSES(IOULOSS_LOSS_ROW)}; \
  }

}  // namespace iouloss
