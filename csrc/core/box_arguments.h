// The arguments of the kernels of the shape "boxes".
#pragma once

#include "arguments.h"
#include "box.h"
#include "box_table.h"

namespace iouloss {

struct BoxArguments {
  BoxFormula formula;
  bool float64;  // whether the computation and the loss are in float64; else in float32
  int64_t n;
  Rows pred, target;
  Values weight;
  const bool* mask = nullptr;  // which boxes count; without a mask, all of them
  BoxFormat format;
  double eps;
  BoxOptions<double> options;
};

}  // namespace iouloss
