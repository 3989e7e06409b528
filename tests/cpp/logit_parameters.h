// Parameters to test each formula on single numbers with.
#pragma once

#include <cmath>
#include <vector>

#include "../../csrc/core/logit_formulas.h"

namespace iouloss {

// Sets of options by their names.
using Named = std::initializer_list<std::pair<double LogitOptions<double>::*, double>>;

inline std::vector<LogitParameters<double>> parameters_of(LogitFormula formula) {
  using O = LogitOptions<double>;
  double balance = 0;
  const auto with = [&](Named named) {
    O options;
    for (const auto& [member, value] : named) options.*member = value;
    return LogitParameters<double>(options, 0.25, 0.75, balance);
  };
  const auto powers = [&](std::initializer_list<double> values, double O::* member) {
    std::vector<LogitParameters<double>> each;
    for (double value : values) each.push_back(with({{member, value}}));
    return each;
  };
  switch (formula) {
    case LogitFormula::focal: return powers({0, 0.5, 1, 1.5, 2, 3, 5}, &O::gamma);
    case LogitFormula::equalized_focal: {
      std::vector<LogitParameters<double>> each;
      for (double of_class : {1., 0.3, 0.5}) {
        balance = of_class;
        each.push_back(with({{&O::gamma, 2}, {&O::scale, 8}}));
      }
      balance = 0.5;
      each.push_back(with({{&O::gamma, 0.25}, {&O::scale, 0}}));
      return each;
    }
    case LogitFormula::smooth_focal:
      return {with({{&O::gamma, 2}, {&O::label_smoothing, 0.1}}), with({{&O::gamma, 0.5}, {&O::label_smoothing, 1}}),
              with({{&O::gamma, 1.5}, {&O::label_smoothing, 0.2}, {&O::smooth_all, 1}})};
    case LogitFormula::focal_star:
      return {with({{&O::gamma, 2}, {&O::beta, 1}}), with({{&O::gamma, 0.5}, {&O::beta, -3}})};
    case LogitFormula::poly_focal:
      return {with({{&O::gamma, 2}, {&O::epsilon1, 4}, {&O::epsilon0, 4. / 3}}),
              with({{&O::gamma, 0}, {&O::epsilon1, 1}, {&O::epsilon0, 1}})};
    case LogitFormula::quality_focal: return powers({2, 1.3}, &O::beta);
    case LogitFormula::varifocal: return {with({{&O::gamma, 2}, {&O::iou_weighted, 1}}), with({{&O::gamma, 0.5}})};
    case LogitFormula::gaussian_focal:
      return {with({{&O::alpha, 2}, {&O::beta, 4}}), with({{&O::alpha, 1.3}, {&O::beta, 0.6}})};
    case LogitFormula::asymmetric:
    case LogitFormula::asymmetric_attached:
      return {with({{&O::gamma_pos, 1}, {&O::gamma_neg, 4}, {&O::margin, 0.05}}),
              with({{&O::gamma_pos, 0.5}, {&O::gamma_neg, 1.5}}),
              with({{&O::gamma_pos, 0}, {&O::gamma_neg, 2}, {&O::margin, 0.2}})};
    case LogitFormula::smooth_l1:
      return {with({{&O::beta, 0.7}, {&O::factor, 1}}), with({{&O::beta, 0}, {&O::factor, 1}})};
    case LogitFormula::balanced_l1: return {with({{&O::alpha, 0.5}, {&O::growth, std::expm1(3)}, {&O::beta, 1}})};
    case LogitFormula::focal_l1: return {with({{&O::alpha, 2.17}, {&O::log_beta, -0.22}})};
    default: return {with({})};
  }
}

}  // namespace iouloss
