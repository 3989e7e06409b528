// The arguments of the kernels of the shape "rows": C logits and a target make one value.
#pragma once

#include "arguments.h"
#include "row_table.h"

namespace iouloss {

// A value for every class of every row, in any layout. The dimensions before the class dimension are collapsed into one
// (outer), and so are those after it (inner). Row i begins at (i / inner) * outer_stride + (i % inner) * inner_stride.
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
  int64_t inner;    // size of the inner dimension: 1 where the classes come last
  ClassRows logits;
  ClassRows targets;    // either one probability per class,
  Values places;        // or one place between two bins per row,
  Indices class_index;  // or one class index per row
  int64_t ignore_index;
  Values weight;        // one per row
  Values class_weight;  // one per class; alpha multiplies it
  RowOptions<double> options;
};

// The layout of the gradient: contiguous, in the shape of the logits.
IOULOSS_INLINE ClassRows gradient_rows(const RowArguments& a) { return {nullptr, {}, a.classes * a.inner, 1, a.inner}; }

}  // namespace iouloss
