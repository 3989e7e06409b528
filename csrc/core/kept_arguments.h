// What is told of class indices, or of dense targets, to count those that a mean counts.
#pragma once

#include "arguments.h"

namespace iouloss {

struct KeptArguments {
  bool float64;  // the number type of the result
  int64_t n;
  Indices class_index;                    // or
  Values targets;                         // of which those count that are not ignore_index
  int64_t lowest, highest, ignore_index;  // those between count, but for this one
  Values class_weight;                    // what a row counts for, by its class; 1, where there are none
};

IOULOSS_INLINE bool is_kept(const KeptArguments& a, int64_t index) {
  return index >= a.lowest && index <= a.highest && index != a.ignore_index;
}

}  // namespace iouloss
