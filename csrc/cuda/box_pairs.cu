#include "box_pairs.cuh"

namespace iouloss {

// In a file of their own, so that two compilers share the work.
extern template void launch_box_forward<double>(const BoxArguments&, const Delivery&, cudaStream_t);
extern template void launch_box_backward<double>(const BoxArguments&, const Values&, const DeviceScale&, const Output&,
                                                 cudaStream_t);

int64_t forward_scratch_bytes(const BoxArguments& a) { return scratch_bytes(a.n, a.float64); }

void launch_forward(const BoxArguments& a, const Delivery& to, cudaStream_t stream) {
  a.float64 ? launch_box_forward<double>(a, to, stream) : launch_box_forward<float>(a, to, stream);
}

void launch_backward(const BoxArguments& a, const Values& upstream, const DeviceScale& scale, const Output& grad,
                     cudaStream_t stream) {
  if (a.n == 0) return;
  a.float64 ? launch_box_backward<double>(a, upstream, scale, grad, stream)
            : launch_box_backward<float>(a, upstream, scale, grad, stream);
}

}  // namespace iouloss
