// The arguments of the kernel that counts what a mean is divided by: class indices or dense targets that are not
// ignored.
#pragma once

#include "arguments.h"

namespace iouloss {

struct KeptArguments {
  bool float64;  // whether the result is in float64; else in float32
  int64_t n;
  Indices class_index;                    // one per row; or
  Values targets;                         // dense targets, which count unless they equal ignore_index
  int64_t lowest, highest, ignore_index;  // an index counts if lowest <= index <= highest, unless it is ignore_index
  Values class_weight;                    // one per class: how much a row of that class counts; without, 1
};

IOULOSS_INLINE bool is_kept(const KeptArguments& a, int64_t index) {
  return index >= a.lowest && index <= a.highest && index != a.ignore_index;
}

}  // namespace iouloss
