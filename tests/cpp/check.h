// Checks that report a failure and go on, and the tests that main() knows.
#pragma once

#include "../../csrc/cpu/kernels.h"

namespace iouloss {

// Reports what failed, the first few times; main() returns 1 then.
__attribute__((format(printf, 2, 3))) void check(bool ok, const char* format, ...);

void test_box_formulas();
void test_logit_formulas();
void test_kernels(const CpuKernels&);

// Compiled once for each instruction set, as the kernels are.
#define IOULOSS_TESTS(arch)   \
  namespace arch {            \
  void test_functions();      \
  void test_conversions();    \
  }
IOULOSS_TESTS(baseline)
IOULOSS_TESTS(avx2)
IOULOSS_TESTS(avx512)
#undef IOULOSS_TESTS

}  // namespace iouloss
