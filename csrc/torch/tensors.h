// From tensors to the kernels' arguments, and the parts of an operator that every loss shares.
#pragma once

#include <ATen/core/Tensor.h>

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/DispatchKey.h>

#include <functional>
#include <optional>
#include <string_view>

#include "../core/arguments.h"
#include "checks.h"

namespace iouloss {

Dtype dtype_of(const at::Tensor& tensor);

// Float64 if one of the tensors is; the dtype of the computation and of the loss.
inline bool computes_in_float64(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == at::kDouble || b.scalar_type() == at::kDouble;
}

// A contiguous tensor's values; the caller keeps the tensor.
Values values_of(const at::Tensor& contiguous);

// A gradient from above: one value for all (a scalar, or a tensor expanded from one), or one a loss.
struct Upstream {
  at::Tensor kept;
  Values values;
  explicit Upstream(const at::Tensor& grad_output);
};

// What a reduced loss is divided by: a tensor on the loss's device, or a number.
struct Divisor {
  at::Tensor tensor;  // one value in the dtype of the computation, or undefined
  double number = 1;
  Divisor(const std::optional<at::Tensor>& avg_factor, std::optional<double> divisor, Reduction reduction, int64_t n,
          bool float64);
  double scale_on_cpu() const;
  void write_on_cpu(double sum, const at::Tensor& loss) const;  // sum over divisor, as the loss
};

// Runs part(begin, end) over [0, n) on all threads, in chunks of a fixed size, and adds up what the parts return in
// the order of the chunks: the sum does not depend on how many threads there are.
double sum_over_chunks(int64_t n, int64_t chunk, const std::function<double(int64_t, int64_t)>& part);
void over_chunks(int64_t n, int64_t chunk, const std::function<void(int64_t, int64_t)>& part);

// The keys that one implementation of an operator serves.
#ifdef IOULOSS_CUDA
inline constexpr c10::DispatchKey device_keys[] = {c10::DispatchKey::CPU, c10::DispatchKey::CUDA,
                                                   c10::DispatchKey::Meta};
#else
inline constexpr c10::DispatchKey device_keys[] = {c10::DispatchKey::CPU, c10::DispatchKey::Meta};
#endif

// Calls a backward operator from a backward pass: through its own autograd where create_graph asks for it (the Python
// package registers that: pure PyTorch, which can be differentiated again), else past it.
template <class F>
auto call_backward(F f) {
  if (at::GradMode::is_enabled()) return f();
  at::AutoDispatchBelowADInplaceOrView below;
  return f();
}

// On the CPU most of a gradient is at hand once the loss is computed. So where one number weighs all losses, the
// forward pass leaves the gradient for an upstream gradient of 1, and the backward pass has nothing to compute. Only
// for tensors that are just that: compilers and transforms see two operators, each a function of its inputs.
bool leaves_gradient(const at::Tensor& input, std::string_view reduction);

// The tensor to leave it in. A gradient in float16 is kept in float32: the upstream gradient to come may be a gradient
// scaler's, against underflow.
at::Tensor new_gradient_to_leave(const at::Tensor& input);

// What a backward pass makes of the gradient that was left; undefined where it must compute it after all.
at::Tensor gradient_from(const at::Tensor& left, const at::Tensor& grad_output, at::ScalarType dtype);

inline std::optional<at::Tensor> if_defined(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

}  // namespace iouloss
