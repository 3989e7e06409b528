#include "logits.cuh"

namespace iouloss {

// Instantiated in logits_float64.cu, so that two compilers share the work.
extern template void launch_logit_losses<double>(const LogitArguments&, const Delivery&, const DeviceScale&,
                                                 cudaStream_t);
extern template void launch_logit_gradient<double>(const LogitArguments&, const Delivery&, const DeviceScale&,
                                                   const Gradient&, cudaStream_t);

int64_t scratch_bytes(const LogitArguments& a) { return scratch_bytes_for(quads(a.n), Registers::several, a.float64); }

void launch_losses(const LogitArguments& a, const Delivery& to, const DeviceScale& scale, cudaStream_t stream) {
  a.float64 ? launch_logit_losses<double>(a, to, scale, stream) : launch_logit_losses<float>(a, to, scale, stream);
}

void launch_gradient(const LogitArguments& a, const Delivery& to, const DeviceScale& scale, const Gradient& grad,
                     cudaStream_t stream) {
  a.float64 ? launch_logit_gradient<double>(a, to, scale, grad, stream)
            : launch_logit_gradient<float>(a, to, scale, grad, stream);
}

}  // namespace iouloss
