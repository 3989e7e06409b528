// What a kernel is told: raw pointers, sizes and options. The same structs serve every machine, and nothing in them
// knows torch.
#pragma once

#include <cstdint>

#include "box.h"
#include "box_formulas.h"
#include "logit_formulas.h"

namespace iouloss {

enum class Dtype : int { float32, float64, float16, bfloat16 };  // halves come last

// N values; stride 0 repeats one value, no data means there are none. Strides count elements.
struct Values {
  const void* data = nullptr;
  Dtype dtype = Dtype::float32;
  int64_t stride = 0;
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
  Values targets;                        // one a logit, or none, or
  const int64_t* class_index = nullptr;  // one a row, and
  Values scores;                         // one a row: the target of its class; 1, where there are none
  int64_t ignore_index;
  Values weight;  // one a logit, or one a row
  bool weight_per_row;
  Values alpha1_per_class, alpha0_per_class, gamma_per_class;  // each replaces its number
  double alpha1, alpha0;  // what the losses of target 1 and of target 0 are multiplied by
  double gamma, second, third;
};

// The weight of 1 / divisor, by the rule that nothing over nothing is nothing.
inline double scale_of(double divisor) { return divisor == 0 ? 0 : 1 / divisor; }

}  // namespace iouloss
