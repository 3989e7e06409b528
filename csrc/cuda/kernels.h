// The CUDA kernels' launchers: raw pointers, sizes and a stream. Each launches one kernel on the current device; the
// caller checks for launch errors.
#pragma once

#include <cuda_runtime_api.h>

#include "../core/arguments.h"

namespace iouloss {

// 1 / divisor: from one value in the number type of the computation on the device, where there is one, else a number.
struct DeviceScale {
  const void* divisor = nullptr;
  double number = 1;  // already the scale
};

// Where a forward kernel leaves its losses: each in out, or scale times their sum.
struct Delivery {
  void* out;
  bool reduced;
  DeviceScale scale;
  void* scratch;  // forward_scratch_bytes() of it, if that is not 0; the first 8 are set to 0 in the stream
};

int64_t forward_scratch_bytes(const BoxArguments&);
int64_t forward_scratch_bytes(const FocalArguments&);

void launch_forward(const BoxArguments&, const Delivery&, cudaStream_t);
void launch_forward(const FocalArguments&, const Delivery&, cudaStream_t);
void launch_backward(const BoxArguments&, const Values& upstream, const DeviceScale&, const Output& grad, cudaStream_t);
void launch_backward(const FocalArguments&, const Values& upstream, const DeviceScale&, const Output& grad,
                     cudaStream_t);

}  // namespace iouloss
