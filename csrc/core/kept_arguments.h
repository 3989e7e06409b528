// The arguments of the kernel that counts what is kept: the class indices or dense targets that are not ignored. A mean
// is divided by that count.
#pragma once

#include "arguments.h"

namespace iouloss {

struct KeptArguments {
  bool float64;  // whether the result is in float64; else in float32
  int64_t n;
  Indices class_index;                    // either class indices, one per row,
  Values targets;                         // or dense targets, which count unless they equal ignore_index
  int64_t lowest, highest, ignore_index;  // an index counts if lowest <= index <= highest, unless it is ignore_index
  Values class_weight;                    // one per class: how much a row of that class counts; if there are none, 1
};

IOULOSS_INLINE bool is_kept(const KeptArguments& a, int64_t index) {
  return index >= a.lowest && index <= a.highest && index != a.ignore_index;
}

}  // namespace iouloss
