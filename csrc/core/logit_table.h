// The losses of single numbers and their targets: a table of their names, formulas (logit_formulas.h and
// regression_formulas.h) and options.
#pragma once

#include "options.h"

namespace iouloss {

#define IOULOSS_LOGIT_OPTIONS(X) \
  X(double, alpha)               \
  X(double, beta)                \
  X(double, gamma)               \
  X(double, gamma_neg)           \
  X(double, gamma_pos)           \
  X(double, margin)              \
  X(double, label_smoothing)     \
  X(bool, smooth_all)            \
  X(double, epsilon1)            \
  X(double, epsilon0)            \
  X(double, scale)               \
  X(bool, iou_weighted)
#define IOULOSS_REGRESSION_OPTIONS(X) X(double, alpha) X(double, beta) X(double, gamma) X(double, factor)

// Both families have the same kernels, and so one struct. Callers do not give its last two numbers: the host computes
// growth, balanced L1's b, and log_beta, the logarithm of focal L1's beta.
#define IOULOSS_ELEMENT_OPTIONS(X) IOULOSS_LOGIT_OPTIONS(X) X(double, factor) X(double, growth) X(double, log_beta)
IOULOSS_OPTIONS(LogitOptions, IOULOSS_ELEMENT_OPTIONS);

#define IOULOSS_LOGIT_LOSSES(X)                                                                                \
  X(square_focal, SquareFocal)                                                                                 \
  X(focal, PowerFocal, NOT_NEGATIVE(gamma))                                                                    \
  X(equalized_focal, EqualizedFocal, POSITIVE(gamma), NOT_NEGATIVE(scale))                                     \
  X(smooth_focal, SmoothFocal, NOT_NEGATIVE(gamma), FRACTION(label_smoothing))                                 \
  X(focal_star, FocalStar, POSITIVE(gamma), FINITE(beta))                                                      \
  X(poly_focal, PolyFocal, NOT_NEGATIVE(gamma), FINITE(epsilon1), FINITE(epsilon0))                            \
  X(quality_focal, QualityFocal, NOT_NEGATIVE(beta))                                                           \
  X(varifocal, Varifocal, NOT_NEGATIVE(gamma))                                                                 \
  X(gaussian_focal, GaussianFocal, NOT_NEGATIVE(alpha), NOT_NEGATIVE(beta))                                    \
  X(binary_cross_entropy, BinaryCrossEntropy)                                                                  \
  X(asymmetric, Asymmetric<false>, NOT_NEGATIVE(gamma_neg), NOT_NEGATIVE(gamma_pos), FRACTION(margin))         \
  X(asymmetric_attached, Asymmetric<true>, NOT_NEGATIVE(gamma_neg), NOT_NEGATIVE(gamma_pos), FRACTION(margin)) \
  X(binary_entropy, BinaryEntropy)

// The losses of differences, which run through the same kernels.
#define IOULOSS_REGRESSION_LOSSES(X)                                                   \
  X(l1, AbsoluteDifference)                                                            \
  X(l2, SquaredDifference)                                                             \
  X(smooth_l1, SmoothDifference, NOT_NEGATIVE(beta), POSITIVE(factor))                 \
  X(balanced_l1, BalancedDifference, POSITIVE(alpha), POSITIVE(gamma), POSITIVE(beta)) \
  X(focal_l1, FocalDifference, POSITIVE(alpha), POSITIVE(beta))

#define IOULOSS_LOGIT_FORMULAS(X) IOULOSS_LOGIT_LOSSES(X) IOULOSS_REGRESSION_LOSSES(X)

IOULOSS_FORMULAS(LogitFormula, IOULOSS_LOGIT_FORMULAS);
IOULOSS_TABLE(LogitTable, LogitFormula, LogitOptions, IOULOSS_LOGIT_LOSSES);
IOULOSS_TABLE(RegressionTable, LogitFormula, LogitOptions, IOULOSS_REGRESSION_LOSSES);

}  // namespace iouloss
