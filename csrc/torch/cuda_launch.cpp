#ifdef IOULOSS_CUDA

#include "cuda_launch.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "../cuda/kernels.h"

namespace iouloss {
namespace {

DeviceScale scale_of(const Divisor& divisor) {
  return {divisor.tensor.defined() ? divisor.tensor.const_data_ptr() : nullptr, iouloss::scale_of(divisor.number)};
}

template <class Arguments>
void forward(const Arguments& a, Reduction reduction, const Divisor& divisor, at::Tensor& losses) {
  const c10::cuda::CUDAGuard guard(losses.device());
  const bool reduced = reduction != Reduction::none;
  if (a.n == 0 && !reduced) return;
  const int64_t bytes = reduced ? forward_scratch_bytes(a) : 0;
  at::Tensor scratch;
  if (bytes > 0) scratch = at::empty({bytes}, losses.options().dtype(at::kByte));
  const Delivery to{losses.mutable_data_ptr(), reduced, scale_of(divisor),
                    bytes > 0 ? scratch.mutable_data_ptr() : nullptr};
  launch_forward(a, to, c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

template <class Arguments>
void backward(const Arguments& a, const Upstream& upstream, const Divisor& divisor, at::Tensor& grad) {
  const c10::cuda::CUDAGuard guard(grad.device());
  const Output out{grad.mutable_data_ptr(), dtype_of(grad)};
  launch_backward(a, upstream.values, scale_of(divisor), out, c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

void launch_on_device(const BoxArguments& a, Reduction reduction, const Divisor& divisor, at::Tensor& losses) {
  forward(a, reduction, divisor, losses);
}

void launch_on_device(const FocalArguments& a, Reduction reduction, const Divisor& divisor, at::Tensor& losses) {
  forward(a, reduction, divisor, losses);
}

void launch_on_device(const BoxArguments& a, const Upstream& upstream, const Divisor& divisor, at::Tensor& grad) {
  backward(a, upstream, divisor, grad);
}

void launch_on_device(const FocalArguments& a, const Upstream& upstream, const Divisor& divisor, at::Tensor& grad) {
  backward(a, upstream, divisor, grad);
}

}  // namespace iouloss

#endif
