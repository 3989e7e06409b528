// What every operator checks of its arguments. Errors name the argument, what it got and what it wants, as ValueError
// or TypeError; nothing here reads a tensor's values.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <string_view>

#include "../core/arguments.h"

namespace iouloss {

enum class Reduction { none, mean, sum };

Reduction parse_reduction(std::string_view reduction);
BoxFormat parse_format(std::string_view format);
BoxFormula parse_box_formula(std::string_view formula);
LogitFormula parse_logit_formula(std::string_view formula);

void check_non_negative(const char* name, double value);
void check_positive(const char* name, double value);
void check_finite(const char* name, double value);
bool is_supported(const at::Tensor& tensor);  // one of the four floating dtypes
void check_floating(const char* name, const at::Tensor& tensor);
void check_constant(const char* name, const std::optional<at::Tensor>& tensor);
void check_device(const char* name, const std::optional<at::Tensor>& tensor, const char* owner,
                  const at::Tensor& wanted);
void check_shape(const char* name, const std::optional<at::Tensor>& tensor, c10::SymIntArrayRef wanted);
void check_avg_factor(const std::optional<at::Tensor>& avg_factor, std::optional<double> divisor,
                      std::string_view reduction);

// As Python prints them.
std::string repr(double value);
std::string dtype_name(const at::Tensor& tensor);

}  // namespace iouloss
