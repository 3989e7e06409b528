// Divides indices by a number that is the same for a whole launch. Instead of dividing, it multiplies with the inverse.
#pragma once

#include <cstdint>

#include "../core/number.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

struct IndexDivision {
  int64_t by;
  unsigned long long inverse;  // 2^64 / by, rounded up; 0 if that would not be exact, or if `by` is 1

  // Divides indices in [0, end). The multiplication with the rounded inverse is exact while end * by stays below 2^64.
  IndexDivision(int64_t by, int64_t end)
      : by(by), inverse(by > 1 && uint64_t(end) < ~uint64_t(0) / uint64_t(by) ? ~0ull / uint64_t(by) + 1 : 0) {}

  __device__ __forceinline__ int64_t quotient(int64_t i) const {
    if (inverse) [[likely]]
      return int64_t(__umul64hi(i, inverse));
    return by == 1 ? i : i / by;
  }
};

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
