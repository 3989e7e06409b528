// The losses of single numbers and their targets: a table of their names, formulas (logit_formulas.h and
// regression_formulas.h) and options.
#pragma once

#include "options.h"

namespace iouloss {

// Callers do not give the last two: the host computes them. growth is balanced L1's b, and log_beta is the logarithm of
// focal L1's beta.
#define IOULOSS_LOGIT_OPTIONS(X) \
  X(alpha)                       \
  X(beta)                        \
  X(gamma)                       \
  X(gamma_neg)                   \
  X(gamma_pos)                   \
  X(margin)                      \
  X(label_smoothing)             \
  X(smooth_all)                  \
  X(epsilon1)                    \
  X(epsilon0)                    \
  X(scale)                       \
  X(iou_weighted)                \
  X(factor)                      \
  X(growth)                      \
  X(log_beta)
IOULOSS_OPTIONS(LogitOptions, IOULOSS_LOGIT_OPTIONS);

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
