// What the kernel shapes share: work on the arrays of a tile.
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

template <class T>
IOULOSS_INLINE bool all_lanes(typename Native<T>::RawBits mask) {
  auto all = mask[0];
  for (int i = 1; i < lanes<T>; ++i) all &= mask[i];
  return all != 0;
}

// The sum in float64, in an order that depends only on n: running sums, which are folded pairwise at the end. There are
// enough of them to keep the adders of any instruction set busy.
template <class T>
double sum_of(const T* values, int n) {
  constexpr int running = 32;
  double sums[running] = {};
  int i = 0;
  for (; i + running <= n; i += running)
    for (int k = 0; k < running; ++k) sums[k] += values[i + k];
  for (int k = 0; i + k < n; ++k) sums[k] += values[i + k];
  for (int half = running / 2; half > 0; half /= 2)
    for (int k = 0; k < half; ++k) sums[k] += sums[k + half];
  return sums[0];
}

// Memory that is needed soon: what the next tile reads, and what this one writes. The loop that computes a tile also
// prefetches this memory, a cache line at a time, so that memory and arithmetic work at the same time. The memory need
// not exist, since a prefetch of an invalid address does nothing.
struct Ahead {
  const char* at = nullptr;
  int bytes = 0;  // of a box or a logit; 0 where nothing is to be prefetched

  IOULOSS_INLINE void fetch(int first, int n) const {
    for (int i = 0; i < n * bytes; i += 64) __builtin_prefetch(at + first * bytes + i);
  }
};

inline Ahead ahead_of(const void* data, Dtype dtype, int64_t first, int values = 1) {
  if (!data) return {};
  const int bytes = values * size_of(dtype);
  return {static_cast<const char*>(data) + first * bytes, bytes};
}

// values *= others, if there are any.
template <class T>
void multiply_by(const Values& others, int64_t first, int n, T* __restrict__ values, T* __restrict__ scratch) {
  if (!others.data) return;
  load_values(others, first, n, scratch);
  for (int i = 0; i < n; ++i) values[i] *= scratch[i];
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
