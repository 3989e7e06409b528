#include "boxes.cuh"

namespace iouloss {

template void launch_box_losses<double>(const BoxArguments&, const Delivery&, const DeviceScale&, cudaStream_t);
template void launch_box_gradient<double>(const BoxArguments&, const Delivery&, const DeviceScale&, const Gradient&,
                                          cudaStream_t);

}  // namespace iouloss
