// What a kernel is told of rows of logits: C logits and a target to one value.
#pragma once

#include "arguments.h"

namespace iouloss {

enum class RowFormula : int { classes, distribution, kl_div, entropy };

// A value for every class of every row, of any layout. Row i begins at (i / inner) * outer_stride +
// (i % inner) * inner_stride: what comes before the dimension of the classes is collapsed into one dimension, and so is
// what comes after it.
struct ClassRows {
  const void* data = nullptr;
  Dtype dtype = Dtype::float32;
  int64_t outer_stride = 0, inner_stride = 0, class_stride = 1;
};

struct RowArguments {
  RowFormula formula;
  bool float64;
  int64_t n;        // rows
  int64_t classes;  // logits in a row, at least 1
  int64_t inner;    // 1 where the classes come last
  ClassRows logits;
  ClassRows targets;    // a probability a class, or
  Values places;        // a place between two bins a row, or
  Indices class_index;  // one a row
  int64_t ignore_index;
  Values weight;        // one a row
  Values class_weight;  // one a class, beside alpha
  double alpha, gamma, smoothing, poly, temperature;
};

// Where a row's gradient begins: it is contiguous, in the shape of the logits.
IOULOSS_INLINE ClassRows gradient_rows(const RowArguments& a) { return {nullptr, {}, a.classes * a.inner, 1, a.inner}; }

}  // namespace iouloss
