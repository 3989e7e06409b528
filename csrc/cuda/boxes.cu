#include "boxes.cuh"

namespace iouloss {

// Instantiated in boxes_float64.cu, so that two compilers share the work.
extern template void launch_box_losses<double>(const BoxArguments&, const Delivery&, const DeviceScale&, cudaStream_t);
extern template void launch_box_gradient<double>(const BoxArguments&, const Delivery&, const DeviceScale&,
                                                 const Gradient&, cudaStream_t);

int64_t scratch_bytes(const BoxArguments& a) { return scratch_bytes_for(a.n, Registers::item, a.float64); }

void launch_losses(const BoxArguments& a, const Delivery& to, const DeviceScale& scale, cudaStream_t stream) {
  a.float64 ? launch_box_losses<double>(a, to, scale, stream) : launch_box_losses<float>(a, to, scale, stream);
}

void launch_gradient(const BoxArguments& a, const Delivery& to, const DeviceScale& scale, const Gradient& grad,
                     cudaStream_t stream) {
  a.float64 ? launch_box_gradient<double>(a, to, scale, grad, stream)
            : launch_box_gradient<float>(a, to, scale, grad, stream);
}

}  // namespace iouloss
