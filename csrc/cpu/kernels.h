// The CPU kernels of one instruction set, and the choice among the sets that this build and this processor have.
#pragma once

#include <string>
#include <vector>

#include "../core/arguments.h"

namespace iouloss {

// A kernel works on the part [begin, end) of its batch, on the caller's thread. The forward kernels write the losses
// (in the number type of the computation) where `losses` is given; they return the part's sum. So do the backward
// kernels where there is no upstream gradient: forward and backward pass in one.
struct CpuKernels {
  const char* name;
  double (*box_forward)(const BoxArguments&, void* losses, int64_t begin, int64_t end);
  double (*box_backward)(const BoxArguments&, const Values& upstream, double scale, const Output& grad, int64_t begin,
                         int64_t end);
  double (*focal_forward)(const FocalArguments&, void* losses, int64_t begin, int64_t end);
  double (*focal_backward)(const FocalArguments&, const Values& upstream, double scale, const Output& grad,
                           int64_t begin, int64_t end);
};

extern const CpuKernels baseline_kernels, avx2_kernels, avx512_kernels;

// Those that run here, the widest last; the active one is the last unless IOULOSS_CPU_ISA names another.
std::vector<const CpuKernels*> usable_cpu_kernels();
const CpuKernels& cpu_kernels();
bool use_cpu_kernels(const std::string& name);  // false where there are none of that name

}  // namespace iouloss
