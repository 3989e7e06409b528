// The inputs of each operator, and the function that calls it through the dispatcher. A loss uses the options that its
// row of the shape's table names (core/*_table.h). It ignores the options of other losses.
#pragma once

#include "../core/box_table.h"
#include "../core/logit_table.h"
#include "../core/region_table.h"
#include "../core/row_table.h"
#include "inputs.h"

namespace iouloss {

#define IOULOSS_BOX_LOSS(X)                                                \
  X(Tensor, pred)                                                          \
  X(Tensor, target)                                                        \
  X(OptionalTensor, weight)                                                \
  X(OptionalTensor, mask)                                                  \
  X(OptionalTensor, avg_factor)                                            \
  X(std::optional<double>, divisor) /* avg_factor, where it is a number */ \
  X(std::string_view, formula)                                             \
  X(std::string_view, fmt)                                                 \
  X(double, eps)                                                           \
  X(std::string_view, reduction)                                           \
  IOULOSS_BOX_OPTIONS(X)

// A loss of logits and their targets.
#define IOULOSS_LOGIT_LOSS(X)                                                               \
  X(Tensor, logits)                                                                         \
  X(Tensor, targets)                                                                        \
  X(OptionalTensor, weight)                                                                 \
  X(OptionalTensor, avg_factor)                                                             \
  X(std::optional<double>, divisor)                                                         \
  X(std::string_view, formula)                                                              \
  X(std::optional<int64_t>, ignore_index)                                                   \
  X(std::string_view, reduction)                                                            \
  X(OptionalTensor, scores)                                                                 \
  X(OptionalTensor, alpha_per_class)                                                        \
  X(OptionalTensor, balance)                                                                \
  X(double, alpha1)                                                                         \
  X(double, alpha0)                                                                         \
  X(bool, complement) /* whether 1 - alpha weighs negatives, if each class has its alpha */ \
  IOULOSS_LOGIT_OPTIONS(X)

// A loss of the difference of two tensors.
#define IOULOSS_REGRESSION_LOSS(X)  \
  X(Tensor, pred)                   \
  X(Tensor, target)                 \
  X(OptionalTensor, weight)         \
  X(OptionalTensor, avg_factor)     \
  X(std::optional<double>, divisor) \
  X(std::string_view, formula)      \
  X(std::string_view, reduction)    \
  IOULOSS_REGRESSION_OPTIONS(X)

// `formula` is the loss's name without its "_loss".
#define IOULOSS_ROW_LOSS(X)               \
  X(Tensor, logits)                       \
  X(OptionalTensor, targets)              \
  X(OptionalTensor, weight)               \
  X(OptionalTensor, avg_factor)           \
  X(std::optional<double>, divisor)       \
  X(std::string_view, formula)            \
  X(std::optional<int64_t>, ignore_index) \
  X(std::string_view, reduction)          \
  X(int64_t, class_dim)                   \
  X(OptionalTensor, class_weight)         \
  IOULOSS_ROW_OPTIONS(X)

#define IOULOSS_REGION_LOSS(X)            \
  X(Tensor, logits)                       \
  X(Tensor, targets)                      \
  X(OptionalTensor, weight)               \
  X(OptionalTensor, class_weight)         \
  X(OptionalTensor, avg_factor)           \
  X(std::optional<double>, divisor)       \
  X(std::string_view, formula)            \
  X(std::string_view, activation)         \
  X(std::string_view, per)                \
  X(std::optional<int64_t>, ignore_index) \
  X(std::string_view, reduction)          \
  IOULOSS_REGION_OPTIONS(X)               \
  X(int64_t, power)

// Computes how much is kept, which a mean is divided by. Unit "row": counts the rows that have a class other than
// ignore_index, each as much as the weight of its class. Unit "logit": counts the logits that are not ignored.
#define IOULOSS_KEPT_WEIGHT(X)            \
  X(Tensor, logits)                       \
  X(Tensor, targets)                      \
  X(OptionalTensor, class_weight)         \
  X(std::optional<int64_t>, ignore_index) \
  X(int64_t, class_dim)                   \
  X(std::string_view, unit)

IOULOSS_INPUTS(BoxInputs, IOULOSS_BOX_LOSS);
IOULOSS_INPUTS(LogitInputs, IOULOSS_LOGIT_LOSS);
IOULOSS_INPUTS(RegressionInputs, IOULOSS_REGRESSION_LOSS);
IOULOSS_INPUTS(RowInputs, IOULOSS_ROW_LOSS);
IOULOSS_INPUTS(RegionInputs, IOULOSS_REGION_LOSS);
IOULOSS_INPUTS(KeptWeightInputs, IOULOSS_KEPT_WEIGHT);

Tensor box_loss(const BoxInputs& in);
Tensor logit_loss(const LogitInputs& in);
Tensor regression_loss(const RegressionInputs& in);
Tensor row_loss(const RowInputs& in);
Tensor region_loss(const RegionInputs& in);
Tensor kept_weight(const KeptWeightInputs& in);

}  // namespace iouloss
