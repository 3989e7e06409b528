#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

namespace iouloss {

// The operator iouloss::row_loss, through the dispatcher. `formula` is the loss's name without its "_loss"; options of
// other formulas are not looked at.
at::Tensor row_loss(const at::Tensor& logits, const std::optional<at::Tensor>& targets,
                    const std::optional<at::Tensor>& weight, const std::optional<at::Tensor>& avg_factor,
                    std::optional<double> divisor, const std::optional<at::Tensor>& class_weight,
                    std::string_view formula, double alpha, double gamma, double label_smoothing, double poly_epsilon,
                    double temperature, std::optional<int64_t> ignore_index, int64_t class_dim,
                    std::string_view reduction);

}  // namespace iouloss
