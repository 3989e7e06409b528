// The losses of rows of logits: a table of their names, of what serves them in row_formulas.h, and of their options.
#pragma once

#include "options.h"

namespace iouloss {

#define IOULOSS_ROW_OPTIONS(X) X(alpha) X(gamma) X(label_smoothing) X(poly_epsilon) X(temperature)
IOULOSS_OPTIONS(RowOptions, IOULOSS_ROW_OPTIONS);

enum class RowFormula : int { classes, distribution, kl_div, entropy };

#define IOULOSS_ROW_LOSSES(X)                                                                                          \
  X(softmax_focal, classes, NOT_NEGATIVE(alpha), NOT_NEGATIVE(gamma), FRACTION(label_smoothing), FINITE(poly_epsilon)) \
  X(cross_entropy, classes, NOT_NEGATIVE(alpha), NOT_NEGATIVE(gamma), FRACTION(label_smoothing), FINITE(poly_epsilon)) \
  X(distribution_focal, distribution)                                                                                  \
  X(kl_div, kl_div, POSITIVE(temperature))                                                                             \
  X(entropy, entropy)

struct RowTable {
  using Options = RowOptions<double>;
  static constexpr auto argument = "formula";
  static constexpr LossRow<RowFormula, Options> rows[] = {
#define X(name, formula, ...) {#name, RowFormula::formula, {__VA_ARGS__}},
      IOULOSS_ROW_LOSSES(X)
#undef X
  };
};

}  // namespace iouloss
