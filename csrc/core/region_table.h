// The losses of regions: a table of their names and options. One formula serves them all: region_formulas.h.
#pragma once

#include "options.h"

namespace iouloss {

#define IOULOSS_REGION_OPTIONS(X) X(alpha) X(beta) X(gamma) X(smooth_numerator) X(smooth_denominator)
IOULOSS_OPTIONS(RegionOptions, IOULOSS_REGION_OPTIONS);

#define IOULOSS_REGION_LOSSES(X)                                                                         \
  X(dice, POSITIVE(gamma), NOT_NEGATIVE(smooth_numerator), NOT_NEGATIVE(smooth_denominator))             \
  X(generalized_dice, POSITIVE(gamma), NOT_NEGATIVE(smooth_numerator), NOT_NEGATIVE(smooth_denominator)) \
  X(tversky, NOT_NEGATIVE(alpha), NOT_NEGATIVE(beta), POSITIVE(gamma), NOT_NEGATIVE(smooth_numerator),   \
    NOT_NEGATIVE(smooth_denominator))

enum class RegionKind : int {
#define X(name, ...) name,
  IOULOSS_REGION_LOSSES(X)
#undef X
};

struct RegionTable {
  using Options = RegionOptions<double>;
  static constexpr auto argument = "kind";
  static constexpr LossRow<RegionKind, Options> rows[] = {
#define X(name, ...) {#name, RegionKind::name, {__VA_ARGS__}},
      IOULOSS_REGION_LOSSES(X)
#undef X
  };
};

}  // namespace iouloss
