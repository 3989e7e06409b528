#include "kernels.h"

#include <atomic>
#include <cstdlib>

namespace iouloss {
namespace {

const CpuKernels* find(const std::string& name) {
  for (const CpuKernels* kernels : usable_cpu_kernels())
    if (name == kernels->name) return kernels;
  return nullptr;
}

const CpuKernels* initial() {
  const char* wanted = std::getenv("IOULOSS_CPU_ISA");
  const CpuKernels* named = wanted ? find(wanted) : nullptr;
  return named ? named : usable_cpu_kernels().back();
}

std::atomic<const CpuKernels*>& active() {
  static std::atomic<const CpuKernels*> kernels{initial()};
  return kernels;
}

}  // namespace

std::vector<const CpuKernels*> usable_cpu_kernels() {
  std::vector<const CpuKernels*> usable{&baseline_kernels};
#if defined(IOULOSS_X86)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")) {
    usable.push_back(&avx2_kernels);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
      usable.push_back(&avx512_kernels);
  }
#endif
  return usable;
}

const CpuKernels& cpu_kernels() { return *active().load(std::memory_order_relaxed); }

bool use_cpu_kernels(const std::string& name) {
  const CpuKernels* kernels = find(name);
  if (kernels) active().store(kernels, std::memory_order_relaxed);
  return kernels != nullptr;
}

}  // namespace iouloss
