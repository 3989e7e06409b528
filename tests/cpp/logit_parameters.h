// Parameters to test each formula on single numbers with.
#pragma once

#include <vector>

#include "../../csrc/core/logit_formulas.h"

namespace iouloss {

inline std::vector<LogitParameters<double>> parameters_of(LogitFormula formula) {
  const auto with = [](double gamma, double second, double third) {
    return LogitParameters<double>{0.25, 0.75, gamma, second, third};
  };
  switch (formula) {
    case LogitFormula::square_focal: return {with(2, 0, 0)};
    case LogitFormula::focal:
      return {with(0, 0, 0), with(0.5, 0, 0), with(1, 0, 0), with(1.5, 0, 0),
              with(2, 0, 0), with(3, 0, 0),   with(5, 0, 0)};
    case LogitFormula::equalized_focal: return {with(1, 8, 10), with(0.3, 8, 10), with(0.5, 1, 0.75)};
    case LogitFormula::smooth_focal: return {with(2, 0.1, 0), with(0.5, 1, 0), with(1.5, 0.2, 1)};
    case LogitFormula::focal_star: return {with(2, 1, 0), with(0.5, -3, 0)};
    case LogitFormula::poly_focal: return {with(2, 4, 4. / 3), with(0, 1, 1)};
    case LogitFormula::asymmetric:
    case LogitFormula::asymmetric_attached: return {with(1, 4, 0.05), with(0.5, 1.5, 0), with(0, 2, 0.2)};
    case LogitFormula::varifocal: return {with(0, 2, 1), with(0, 0.5, 0)};
    case LogitFormula::balanced_l1: return {with(0.5, 1.5, 1)};
    case LogitFormula::focal_l1: return {with(2.17, -0.22, 0)};
    case LogitFormula::smooth_l1: return {with(0, 0.7, 1), with(0, 0, 1)};
    default: return {with(0, 2, 4), with(0, 1.3, 0.6)};
  }
}

}  // namespace iouloss
