// What every operator checks of its arguments. Errors name the argument, what it got and what it wants, as ValueError
// or TypeError; nothing here reads a tensor's values.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <optional>
#include <string>
#include <string_view>

#include "../core/arguments.h"
#include "../core/box.h"
#include "../core/options.h"
#include "inputs.h"

namespace iouloss {

// The ignore_index of a call that gives none.
inline constexpr int64_t no_class = -100;

enum class Reduction { none, mean, sum };

Reduction parse_reduction(std::string_view reduction);
BoxFormat parse_format(std::string_view format);

// The row of a shape's table that has this name.
template <class Table>
const auto& row_of(std::string_view name) {
  for (const auto& row : Table::rows)
    if (name == row.name) return row;
  std::string all;
  for (const auto& row : Table::rows) all += (all.empty() ? "'" : ", '") + std::string(row.name) + "'";
  TORCH_CHECK_VALUE(false, "formula: got '", name, "', wants one of ", all);
}

// Checks that a number is in its range. It must be so in float32 too, whatever the dtype of the computation.
void check_range(const char* name, Range range, double value);

// Copies the options of a call, having checked those that its loss takes.
template <class Row>
typename Row::Options checked_options(const Row& row, const auto& in) {
  typename Row::Options options;
  options.take(in);
  for (const auto& rule : row.rules)
    if (rule.name) check_range(rule.name, rule.range, options.*rule.value);
  return options;
}

bool is_supported(const at::Tensor& tensor);  // one of the four floating dtypes
bool is_integral(const at::Tensor& tensor);   // one of the dtypes of class indices and masks
void check_floating(const char* name, const at::Tensor& tensor);

// Returns whether the targets are dense, i.e. have the shape of the logits. Else they must be class indices, in the
// shape of the logits without the class dimension.
bool check_targets(const at::Tensor& targets, const at::Tensor& logits, int64_t class_dim);
c10::SymDimVector without(c10::SymIntArrayRef sizes, int64_t dim);

// Checks that class_dim is a dimension of the logits. Returns it counted from the first dimension, even if it is
// negative.
int64_t checked_class_dim(int64_t class_dim, const at::Tensor& logits);

// Checks the number of classes for losses whose kernels hold a class index in a floating-point number.
void check_classes(const c10::SymInt& classes);
void check_device(const char* name, const std::optional<at::Tensor>& tensor, const char* owner,
                  const at::Tensor& wanted);
void check_shape(const char* name, const std::optional<at::Tensor>& tensor, c10::SymIntArrayRef wanted);

// Checks a tensor that goes with `prediction`, if there is one: a floating dtype, the shape, the device. `owner` is the
// name of the prediction.
void check_beside(const char* name, const std::optional<at::Tensor>& tensor, c10::SymIntArrayRef shape,
                  const char* owner, const at::Tensor& prediction);
// Checks the second of a pair of tensors; `owner` is the name of the first.
void check_partner(const char* name, const at::Tensor& tensor, const char* owner, const at::Tensor& first);
void check_avg_factor(const std::optional<at::Tensor>& avg_factor, std::optional<double> divisor,
                      std::string_view reduction);
void check_avg_factor(const auto& in, const char* owner) {
  check_device("avg_factor", in.avg_factor, owner, first(in));
  check_avg_factor(in.avg_factor, in.divisor, in.reduction);
}

// What an operator does with tensors that no kernel takes: it throws an error that names the first of them.
void refuse_layout(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack);

// As Python prints them.
std::string repr(double value);
std::string dtype_name(at::ScalarType type);
inline std::string dtype_name(const at::Tensor& tensor) { return dtype_name(tensor.scalar_type()); }

}  // namespace iouloss
