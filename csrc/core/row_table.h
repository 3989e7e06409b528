// The losses of rows of logits: a table of their names, formulas (row_formulas.h) and options.
#pragma once

#include "options.h"

namespace iouloss {

#define IOULOSS_ROW_OPTIONS(X) \
  X(double, alpha) X(double, gamma) X(double, label_smoothing) X(double, poly_epsilon) X(double, temperature)
IOULOSS_OPTIONS(RowOptions, IOULOSS_ROW_OPTIONS);

#define IOULOSS_ROW_LOSSES(X)                                                                        \
  X(softmax_focal, ClassTarget, NOT_NEGATIVE(alpha), NOT_NEGATIVE(gamma), FRACTION(label_smoothing), \
    FINITE(poly_epsilon))                                                                            \
  X(cross_entropy, ClassTarget, NOT_NEGATIVE(alpha), NOT_NEGATIVE(gamma), FRACTION(label_smoothing), \
    FINITE(poly_epsilon))                                                                            \
  X(distribution_focal, BinTarget)                                                                   \
  X(kl_div, KLDivergence, POSITIVE(temperature))                                                     \
  X(entropy, Entropy)

IOULOSS_FORMULAS(RowFormula, IOULOSS_ROW_LOSSES);
IOULOSS_TABLE(RowTable, RowFormula, RowOptions, IOULOSS_ROW_LOSSES);

// Whether a row's target is a class.
constexpr bool is_by_class(RowFormula formula) {
  return formula == RowFormula::softmax_focal || formula == RowFormula::cross_entropy;
}

}  // namespace iouloss
