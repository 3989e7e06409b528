// One call of a loss: what every loss has besides its own arguments, and how a loss whose kernels work item by item
// runs them on the CPU or the GPU.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <utility>

#include "../cpu/kernels.h"
#include "tensors.h"
#ifdef IOULOSS_CUDA
#include "cuda_launch.h"
#endif

namespace iouloss {

// `items` is how many items make 10 microseconds of work, the least for which it is worth waking a thread.
template <class Arguments, int64_t items>
struct LossCall {
  int64_t chunk = items;  // a loss whose items differ in size sets it itself
  Arguments a{};          // the arguments of the kernels
  Reduction reduction{};
  Divisor divisor;

  at::ScalarType loss_dtype() const { return a.float64 ? at::kDouble : at::kFloat; }

  c10::SymDimVector reduced_or(c10::SymIntArrayRef each) const {
    return c10::SymDimVector(reduction == Reduction::none ? each : c10::SymIntArrayRef{});
  }

  // Writes each loss, or the reduced one.
  void write_losses(at::Tensor& losses) const {
#ifdef IOULOSS_CUDA
    if (losses.is_cuda()) return losses_on_gpu(a, reduction, divisor, losses);
#endif
    const auto kernel = cpu_kernel(a).losses;
    void* each = reduction == Reduction::none ? losses.mutable_data_ptr() : nullptr;
    const double sum =
        sum_over_chunks(a.n, chunk, [&](int64_t begin, int64_t end) { return kernel(a, each, begin, end); });
    if (reduction != Reduction::none) divisor.write_on_cpu(sum, losses);
  }

  // Writes the gradient with respect to the first input and, if `loss` is given, the reduced loss.
  void write_gradient(at::Tensor& grad, const Upstream& upstream, at::Tensor* loss = nullptr) const {
#ifdef IOULOSS_CUDA
    if (grad.is_cuda()) return gradient_on_gpu(a, upstream, divisor, grad, loss);
#endif
    const auto kernel = cpu_kernel(a).gradient;
    const Output out{grad.mutable_data_ptr(), dtype_of(grad)};
    const double scale = divisor.scale_on_cpu();
    const double sum = sum_over_chunks(
        a.n, chunk, [&](int64_t begin, int64_t end) { return kernel(a, upstream.values, scale, out, begin, end); });
    if (loss) divisor.write_on_cpu(sum, *loss);
  }

  static const char* public_name(const auto&, const char* name) { return name; }

#ifdef IOULOSS_CUDA
  // Multiplies a saved gradient by `upstream` on the device; the host does not read it.
  void rescale(at::Tensor& saved, const Upstream& upstream) const { rescale_on_gpu(a, upstream, divisor, saved); }
#endif
};

}  // namespace iouloss
