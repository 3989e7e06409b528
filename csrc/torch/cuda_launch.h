// From the operators to the CUDA kernels: device, stream, and scratch memory from torch's allocator.
#pragma once

#include <ATen/core/Tensor.h>

#include "../core/arguments.h"
#include "tensors.h"

namespace iouloss {

void launch_on_device(const BoxArguments& a, Reduction reduction, const Divisor& divisor, at::Tensor& losses);
void launch_on_device(const FocalArguments& a, Reduction reduction, const Divisor& divisor, at::Tensor& losses);
void launch_on_device(const BoxArguments& a, const Upstream& upstream, const Divisor& divisor, at::Tensor& grad);
void launch_on_device(const FocalArguments& a, const Upstream& upstream, const Divisor& divisor, at::Tensor& grad);

}  // namespace iouloss
