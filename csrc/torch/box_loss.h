#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

namespace iouloss {

// The operator iouloss::box_loss, through the dispatcher.
at::Tensor box_loss(const at::Tensor& pred, const at::Tensor& target, const std::optional<at::Tensor>& weight,
                    const std::optional<at::Tensor>& mask, const std::optional<at::Tensor>& avg_factor,
                    std::optional<double> divisor, std::string_view formula, double parameter, std::string_view fmt,
                    double eps, std::string_view reduction);

}  // namespace iouloss
