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
template <class Formula_, class Options_>
struct LossRow {
  using Formula = Formula_;
  using Options = Options_;
  const char* name;
  Formula formula;
  OptionRule<Options> rules[5];
};

// The tables name options by these. The struct that holds the table says what Options are.
#define FINITE(name) {#name, Range::finite, &Options::name}
#define NOT_NEGATIVE(name) {#name, Range::not_negative, &Options::name}
#define POSITIVE(name) {#name, Range::positive, &Options::name}
#define FRACTION(name) {#name, Range::fraction, &Options::name}

}  // namespace iouloss
