// What both shapes do with the arrays of a tile.
#pragma once

#include <algorithm>

#include "convert.h"
#include "vector.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T>
inline constexpr int lanes = IOULOSS_VECTOR_BYTES / sizeof(T);

// n rounded up to whole vectors.
template <class T>
constexpr int padded(int n) {
  return (n + lanes<T> - 1) / lanes<T> * lanes<T>;
}

// In float64, in an order that depends on nothing but n: eight running sums, folded pairwise.
template <class T>
double sum_of(const T* values, int n) {
  double sums[8] = {};
  int i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k) sums[k] += values[i + k];
  for (int k = 0; i < n; ++i, ++k) sums[k] += values[i];
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

// values *= others, where there are others.
template <class T>
void multiply_by(const Values& others, int64_t first, int n, T* __restrict__ values, T* __restrict__ scratch) {
  if (!others.data) return;
  load_values(others, first, n, scratch);
  for (int i = 0; i < n; ++i) values[i] *= scratch[i];
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
