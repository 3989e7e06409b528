#include "box_pairs.cuh"

namespace iouloss {

template void launch_box_forward<double>(const BoxArguments&, const Delivery&, cudaStream_t);
template void launch_box_backward<double>(const BoxArguments&, const Values&, const DeviceScale&, const Output&,
                                          cudaStream_t);

}  // namespace iouloss
