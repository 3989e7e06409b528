// The losses of regions: a table of their names and options. One formula serves them all: region_formulas.h.
#pragma once

#include "options.h"

namespace iouloss {

#define IOULOSS_REGION_OPTIONS(X) \
  X(double, smooth_numerator) X(double, smooth_denominator) X(double, alpha) X(double, beta) X(double, gamma)
IOULOSS_OPTIONS(RegionOptions, IOULOSS_REGION_OPTIONS);

#define IOULOSS_REGION_LOSSES(X)                                                                                     \
  X(dice, RegionLoss, POSITIVE(gamma), NOT_NEGATIVE(smooth_numerator), NOT_NEGATIVE(smooth_denominator))             \
  X(generalized_dice, RegionLoss, POSITIVE(gamma), NOT_NEGATIVE(smooth_numerator), NOT_NEGATIVE(smooth_denominator)) \
  X(tversky, RegionLoss, NOT_NEGATIVE(alpha), NOT_NEGATIVE(beta), POSITIVE(gamma), NOT_NEGATIVE(smooth_numerator),   \
    NOT_NEGATIVE(smooth_denominator))

IOULOSS_FORMULAS(RegionFormula, IOULOSS_REGION_LOSSES);
IOULOSS_TABLE(RegionTable, RegionFormula, RegionOptions, IOULOSS_REGION_LOSSES);

}  // namespace iouloss
