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

// Where the kernels deliver a reduced loss. `scratch` owns the memory that they need for it.
template <class Arguments>
Delivery reduced(const Arguments& a, at::Tensor& loss, at::Tensor& scratch) {
  const int64_t bytes = scratch_bytes(a);
  if (bytes > 0) scratch = at::empty({bytes}, loss.options().dtype(at::kByte));
  return {loss.mutable_data_ptr(), true, bytes > 0 ? scratch.mutable_data_ptr() : nullptr};
}

Gradient gradient(const Upstream& upstream, at::Tensor& grad, bool saved) {
  return {{grad.mutable_data_ptr(), dtype_of(grad)}, upstream.values, saved};
}

}  // namespace

template <class Arguments>
void losses_on_gpu(const Arguments& a, Reduction reduction, const Divisor& divisor, at::Tensor& losses) {
  const c10::cuda::CUDAGuard guard(losses.device());
  at::Tensor scratch;
  Delivery to{losses.mutable_data_ptr()};
  if (reduction != Reduction::none)
    to = reduced(a, losses, scratch);
  else if (a.n == 0)
    return;
  launch_losses(a, to, scale_of(divisor), c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

template <class Arguments>
void gradient_on_gpu(const Arguments& a, const Upstream& upstream, const Divisor& divisor, at::Tensor& grad,
                     at::Tensor* loss) {
  if (a.n == 0 && !loss) return;
  const c10::cuda::CUDAGuard guard(grad.device());
  at::Tensor scratch;
  const Delivery to = loss ? reduced(a, *loss, scratch) : Delivery{};
  launch_gradient(a, to, scale_of(divisor), gradient(upstream, grad, false), c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

template <class Arguments>
void rescale_on_gpu(const Arguments& a, const Upstream& upstream, const Divisor& divisor, at::Tensor& saved) {
  if (a.n == 0) return;
  const c10::cuda::CUDAGuard guard(saved.device());
  launch_gradient(a, {}, scale_of(divisor), gradient(upstream, saved, true), c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void kept_weight_on_gpu(const KeptArguments& a, double each, at::Tensor& sum) {
  const c10::cuda::CUDAGuard guard(sum.device());
  at::Tensor scratch;
  launch_kept_weight(a, reduced(a, sum, scratch), each, c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void region_loss_on_gpu(const RegionArguments& a, Reduction reduction, const Divisor& divisor, at::Tensor& losses,
                        void* slopes) {
  const bool reduced = reduction != Reduction::none;
  if (a.regions() == 0 && !reduced) return;
  const c10::cuda::CUDAGuard guard(losses.device());
  const at::Tensor scratch = at::empty({scratch_bytes(a)}, losses.options().dtype(at::kByte));
  const Delivery to{losses.mutable_data_ptr(), reduced, scratch.mutable_data_ptr()};
  launch_region_loss(a, to, scale_of(divisor), slopes, c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void region_gradient_on_gpu(const RegionArguments& a, const Upstream& upstream, void* slopes, at::Tensor& grad) {
  const c10::cuda::CUDAGuard guard(grad.device());
  launch_region_gradient(a, slopes, gradient(upstream, grad, false), c10::cuda::getCurrentCUDAStream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

#define IOULOSS_LAUNCHERS(Arguments)                                                                          \
  template void losses_on_gpu(const Arguments&, Reduction, const Divisor&, at::Tensor&);                      \
  template void gradient_on_gpu(const Arguments&, const Upstream&, const Divisor&, at::Tensor&, at::Tensor*); \
  template void rescale_on_gpu(const Arguments&, const Upstream&, const Divisor&, at::Tensor&);
IOULOSS_LAUNCHERS(BoxArguments)
IOULOSS_LAUNCHERS(LogitArguments)
IOULOSS_LAUNCHERS(RowArguments)
#undef IOULOSS_LAUNCHERS

}  // namespace iouloss

#endif
