// What is told of class indices to count those that a mean counts.
#pragma once

#include "arguments.h"

namespace iouloss {

struct KeptArguments {
  bool float64;  // the number type of the result
  int64_t n, classes;
  const int64_t* class_index = nullptr;
  int64_t ignore_index;
  bool background;      // whether an index that is no class counts
  Values class_weight;  // what a row counts for, by its class; 1, where there are none
};

IOULOSS_INLINE bool is_kept(const KeptArguments& a, int64_t index) {
  return index != a.ignore_index && (a.background || (index >= 0 && index < a.classes));
}

}  // namespace iouloss
