// Transposes squares of values: as many rows as a SIMD vector has lanes.
#pragma once

#include <cstring>
#include <utility>

#include "vector.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// One step of a transposition. Both vectors consist of blocks of `distance` lanes. Swaps each odd block of a with the
// even block before it in b, counting from 0.
template <int distance, class Raw, int... lane>
IOULOSS_INLINE void exchange(Raw& a, Raw& b, std::integer_sequence<int, lane...>) {
  constexpr int n = sizeof...(lane);
  const Raw low = __builtin_shufflevector(a, b, (lane & distance ? lane - distance + n : lane)...);
  b = __builtin_shufflevector(a, b, (lane & distance ? lane + n : lane + distance)...);
  a = low;
}

template <int distance, class T, int n>
IOULOSS_INLINE void transpose(typename Vector<T, n>::Raw (&v)[n]) {
  if constexpr (distance > 0) {
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i)
      if (!(i & distance)) exchange<distance>(v[i], v[i + distance], std::make_integer_sequence<int, n>());
    transpose<distance / 2, T, n>(v);
  }
}

// Transposes a square of as many rows as a vector has lanes. Rows need not be aligned.
template <class T, int n = IOULOSS_VECTOR_BYTES / sizeof(T)>
IOULOSS_INLINE void transpose_square(const T* in, int64_t in_stride, T* out, int64_t out_stride) {
  typename Vector<T, n>::Raw v[n];
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) std::memcpy(&v[i], in + i * in_stride, sizeof(v[i]));
  transpose<n / 2, T, n>(v);
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) std::memcpy(out + i * out_stride, &v[i], sizeof(v[i]));
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
