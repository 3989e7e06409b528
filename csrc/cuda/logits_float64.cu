#include "logits.cuh"

namespace iouloss {

template void launch_logit_losses<double>(const LogitArguments&, const Delivery&, const DeviceScale&, cudaStream_t);
template void launch_logit_gradient<double>(const LogitArguments&, const Delivery&, const DeviceScale&, const Gradient&,
                                            cudaStream_t);

}  // namespace iouloss
