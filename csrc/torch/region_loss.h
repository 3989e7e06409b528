#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

namespace iouloss {

// The operator iouloss::region_loss, through the dispatcher.
at::Tensor region_loss(const at::Tensor& logits, const at::Tensor& targets, const std::optional<at::Tensor>& weight,
                       const std::optional<at::Tensor>& class_weight, const std::optional<at::Tensor>& avg_factor,
                       std::optional<double> divisor, std::string_view kind, std::string_view activation,
                       std::string_view per, int64_t power, double alpha, double beta, double gamma,
                       double smooth_numerator, double smooth_denominator, std::optional<int64_t> ignore_index,
                       std::string_view reduction);

}  // namespace iouloss
