#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

namespace iouloss {

// The operator iouloss::sigmoid_focal_loss, through the dispatcher.
at::Tensor sigmoid_focal_loss(const at::Tensor& logits, const at::Tensor& targets,
                              const std::optional<at::Tensor>& weight, const std::optional<at::Tensor>& avg_factor,
                              std::optional<double> divisor, const std::optional<at::Tensor>& alpha_per_class,
                              std::optional<double> alpha, double gamma, int64_t ignore_index,
                              std::string_view reduction);

}  // namespace iouloss
