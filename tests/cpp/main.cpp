// iouloss_tests TEST [INSTRUCTION_SET]: exits with 0, with 1 when a check failed, with 77 where the processor does not
// have the instruction set.
#include <cstdarg>
#include <cstdio>
#include <string>

#include "check.h"

namespace iouloss {
namespace {

int failures = 0;

const CpuKernels* find(const std::string& instruction_set) {
  for (const CpuKernels* kernels : usable_cpu_kernels())
    if (instruction_set == kernels->name) return kernels;
  return nullptr;
}

struct Tests {
  const char* instruction_set;
  void (*functions)();
  void (*conversions)();
};

const Tests tests_of_instruction_sets[] = {
    {"baseline", baseline::test_functions, baseline::test_conversions},
#if defined(IOULOSS_X86)
    {"avx2", avx2::test_functions, avx2::test_conversions},
    {"avx512", avx512::test_functions, avx512::test_conversions},
#endif
};

bool run(const std::string& test, const CpuKernels* kernels) {
  if (!kernels) {
    if (test == "box_formulas") return test_box_formulas(), true;
    if (test == "logit_formulas") return test_logit_formulas(), true;
    return false;
  }
  if (test == "kernels") return test_kernels(*kernels), true;
  for (const Tests& tests : tests_of_instruction_sets) {
    if (std::string(tests.instruction_set) != kernels->name) continue;
    if (test == "functions") return tests.functions(), true;
    if (test == "conversions") return tests.conversions(), true;
  }
  return false;
}

}  // namespace

void check(bool ok, const char* format, ...) {
  if (ok || ++failures > 20) return;
  va_list arguments;
  va_start(arguments, format);
  std::vprintf(format, arguments);
  va_end(arguments);
  std::printf("\n");
}

}  // namespace iouloss

int main(int argc, char** argv) {
  using namespace iouloss;
  const CpuKernels* kernels = argc > 2 ? find(argv[2]) : nullptr;
  if (argc > 2 && !kernels) return std::printf("this processor does not have %s\n", argv[2]), 77;
  if (argc < 2 || !run(argv[1], kernels)) return std::printf("no such test\n"), 2;
  if (failures) std::printf("%d checks failed\n", failures);
  return failures != 0;
}
