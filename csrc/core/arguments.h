// What a kernel is told: raw pointers, sizes and options. The same structs serve every machine, and nothing in them
// knows torch.
#pragma once

#include <cmath>
#include <cstdint>

#include "box.h"
#include "box_formulas.h"
#include "logit_formulas.h"

namespace iouloss {

enum class Dtype : int { float32, float64, float16, bfloat16, uint8, int8, int16, int32, int64 };

IOULOSS_INLINE bool is_half(Dtype dtype) { return dtype == Dtype::float16 || dtype == Dtype::bfloat16; }
IOULOSS_INLINE bool is_integer(Dtype dtype) { return dtype >= Dtype::uint8; }

// N values; stride 0 repeats one value, no data means there are none. Strides count elements.
struct Values {
  const void* data = nullptr;
  Dtype dtype = Dtype::float32;
  int64_t stride = 0;
};

// N integers one after another; none, without data.
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

struct BoxArguments {
  BoxFormula formula;
  bool float64;  // the number type of the computation, and of the loss
  int64_t n;
  Rows pred, target;
  Values weight;
  const bool* mask = nullptr;  // the boxes that count; all, where there is none
  BoxFormat format;
  double eps, parameter;
};

// Numbers and their targets: logits, or what a regression predicts.
struct LogitArguments {
  LogitFormula formula;
  bool float64;
  int64_t n;        // logits in all
  int64_t classes;  // logits in a row
  Values logits;
  Values targets;       // one a logit, or none, or
  Indices class_index;  // one a row, and
  Values scores;        // one a row: the target of its class; 1, where there are none
  int64_t ignore_index;
  bool ignores_targets;  // of dense targets, those that are ignore_index count for nothing
  Values weight;         // one a logit, or one a row
  bool weight_per_row;
  Values alpha_per_class, gamma_per_class;  // one a class; that of gamma replaces its number
  double alpha1, alpha0;                    // what the losses of target 1 and of target 0 are multiplied by
  bool complement;                          // alpha_per_class multiplies alpha1, and 1 less it alpha0, if this is set
  double gamma, second, third;
};

// The weight of 1 / divisor, by the rule that nothing over nothing is nothing. What has no reciprocal in float32 is
// nothing, too.
inline double scale_of(double divisor) { return std::fabs(divisor) < 0x1p-126 ? 0 : 1 / divisor; }

}  // namespace iouloss
