// Turns tensors into the kernels' arguments, and deals with gradients and divisors that are tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string_view>

#include "../core/arguments.h"
#include "checks.h"

namespace iouloss {

Dtype dtype_of(const at::Tensor& tensor);

// Whether the computation and the loss are in float64. They are if one of the tensors is; else they are in float32.
inline bool computes_in_float64(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == at::kDouble || b.scalar_type() == at::kDouble;
}

// The values of a contiguous tensor, which the caller must hold on to.
Values values_of(const at::Tensor& contiguous);
Indices indices_of(const at::Tensor& contiguous);

// The upstream gradient: one value for all losses (a scalar, or a tensor expanded from one), or one per loss. Without
// data it stands for 1.
struct Upstream {
  at::Tensor owner;
  Values values;
  Upstream() = default;
  explicit Upstream(const at::Tensor& grad_output);
};

// What a reduced loss is divided by: a tensor on the loss's device, or a number.
struct Divisor {
  at::Tensor tensor;  // one value in the dtype of the computation, or undefined
  double number = 1;
  Divisor() = default;
  Divisor(const std::optional<at::Tensor>& avg_factor, std::optional<double> divisor, Reduction reduction, int64_t n,
          bool float64);
  Divisor(const auto& in, Reduction reduction, int64_t n, bool float64)
      : Divisor(in.avg_factor, in.divisor, reduction, n, float64) {}
  double scale_on_cpu() const;
  void write_on_cpu(double sum, const at::Tensor& loss) const;  // loss = sum / divisor
};

// Runs part(begin, end) over [0, n) on all threads, in chunks of a fixed size, and adds up what the parts return in
// the order of the chunks: the sum does not depend on how many threads there are.
double sum_over_chunks(int64_t n, int64_t chunk, const std::function<double(int64_t, int64_t)>& part);

// Whether a tensor is an ordinary one on the CPU or a GPU: nothing but autograd and autocast may record or transform
// what is done with it.
bool is_plain(const at::Tensor& tensor);

// Whether a tensor has a tangent: a derivative of forward mode.
inline bool has_tangent(const at::Tensor& tensor) { return tensor.defined() && tensor._fw_grad(0).defined(); }

// Whether the forward pass of a loss saves the gradient; see LossOperator.
bool saves_gradient(const at::Tensor& input, std::string_view reduction);

// On the CPU: the saved gradient, multiplied by the upstream gradient. Undefined where the backward pass must compute
// the gradient anew.
at::Tensor scaled_on_cpu(at::Tensor saved, const at::Tensor& grad_output);

}  // namespace iouloss
