// What the formulas of single numbers share: their parameters, and what a kernel has to know of them.
#pragma once

#include "logit_table.h"
#include "sigmoid.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// The options, and what differs from number to number. Every loss is linear in alpha1 and alpha0, so they carry the
// weights as well.
template <class V>
struct LogitParameters : LogitOptions<Scalar<V>> {
  V balance;         // of the logit's class; only the equalized focal loss has one
  V alpha1, alpha0;  // factors of the loss of target 1 and of target 0

  IOULOSS_INLINE LogitParameters(const LogitOptions<Scalar<V>>& options, V alpha1_, V alpha0_, V balance_)
      : LogitOptions<Scalar<V>>(options), balance(balance_), alpha1(alpha1_), alpha0(alpha0_) {}
};

struct OfLogit {
  static constexpr bool has_background = false;  // whether evaluate() also takes Background: a target known to be 0
  static constexpr bool has_limits = true;       // whether the loss of an infinite logit is a limit: see limit_of()
  static constexpr bool has_targets = true;      // whether there are targets; if not, kernels load none
  static constexpr bool has_classes = true;      // whether targets may be integers, and each class have an alpha
  static constexpr bool has_scores = true;       // whether a score may stand beside a class index
  static constexpr bool has_balance = false;     // whether a class has a balance
};

struct OfDifference : OfLogit {
  static constexpr bool has_limits = false;  // an infinite number gives NaN
  static constexpr bool has_classes = false;
  static constexpr bool has_scores = false;
};

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
