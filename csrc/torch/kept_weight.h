#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

namespace iouloss {

// The operator iouloss::kept_weight, through the dispatcher: what a mean over class indices is divided by. Of the unit
// "row", the rows whose index is a class and not ignore_index, each with the weight of its class; of the unit "logit",
// the logits of all rows but those of ignore_index; where the targets are dense, those whose target it is not.
at::Tensor kept_weight(const at::Tensor& logits, const at::Tensor& targets,
                       const std::optional<at::Tensor>& class_weight, std::optional<int64_t> ignore_index,
                       int64_t class_dim, std::string_view unit);

}  // namespace iouloss
