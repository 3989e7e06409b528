// What the arguments of every kernel are made of: pointers, dtypes and strides. CPU and GPU take the same structs, and
// nothing in them depends on torch.
#pragma once

#include <cmath>
#include <cstdint>

#include "number.h"

namespace iouloss {

enum class Dtype : int { float32, float64, float16, bfloat16, uint8, int8, int16, int32, int64 };

IOULOSS_INLINE bool is_half(Dtype dtype) { return dtype == Dtype::float16 || dtype == Dtype::bfloat16; }
IOULOSS_INLINE bool is_integer(Dtype dtype) { return dtype >= Dtype::uint8; }

// N values. With a stride of 0 all of them are the first one. If data is null, there are no values. Strides count
// elements, not bytes.
struct Values {
  const void* data = nullptr;
  Dtype dtype = Dtype::float32;
  int64_t stride = 0;
};

// N contiguous integers. If data is null, there are none.
struct Indices {
  const void* data = nullptr;
  Dtype dtype = Dtype::int64;

  explicit IOULOSS_INLINE operator bool() const { return data != nullptr; }

  IOULOSS_INLINE int64_t operator[](int64_t i) const {
    if (dtype == Dtype::int64) [[likely]]
      return static_cast<const int64_t*>(data)[i];
    switch (dtype) {
      case Dtype::int32: return static_cast<const int32_t*>(data)[i];
      case Dtype::int16: return static_cast<const int16_t*>(data)[i];
      case Dtype::int8: return static_cast<const int8_t*>(data)[i];
      default: return static_cast<const uint8_t*>(data)[i];
    }
  }
};

// N rows of 4 values.
struct Rows {
  const void* data = nullptr;
  Dtype dtype = Dtype::float32;
  int64_t row_stride = 4, column_stride = 1;
};

// A contiguous result.
struct Output {
  void* data = nullptr;
  Dtype dtype = Dtype::float32;
};

// 1 / divisor. It is 0 where the divisor is 0 (the rule 0/0 := 0), and where it is a denormal of float32: a GPU takes
// that for 0, and its reciprocal would be infinite.
inline double scale_of(double divisor) { return std::fabs(divisor) < 0x1p-126 ? 0 : 1 / divisor; }

}  // namespace iouloss
