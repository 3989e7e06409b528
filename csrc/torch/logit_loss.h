#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

namespace iouloss {

// The operator iouloss::logit_loss, through the dispatcher: a loss of logits and their targets.
at::Tensor logit_loss(const at::Tensor& logits, const at::Tensor& targets, const std::optional<at::Tensor>& scores,
                      const std::optional<at::Tensor>& weight, const std::optional<at::Tensor>& alpha_per_class,
                      const std::optional<at::Tensor>& gamma_per_class, const std::optional<at::Tensor>& avg_factor,
                      std::optional<double> divisor, std::string_view formula, double alpha1, double alpha0,
                      bool complement, double gamma, double second, double third, std::optional<int64_t> ignore_index,
                      std::string_view reduction);

// The operator iouloss::regression_loss, through the dispatcher: a loss of the difference of two tensors.
at::Tensor regression_loss(const at::Tensor& pred, const at::Tensor& target, const std::optional<at::Tensor>& weight,
                           const std::optional<at::Tensor>& avg_factor, std::optional<double> divisor,
                           std::string_view formula, double gamma, double second, double third,
                           std::string_view reduction);

}  // namespace iouloss
