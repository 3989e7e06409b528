// The arguments of the kernels of the shape "logits": numbers and their targets. The numbers are logits, or the
// predictions of a regression.
#pragma once

#include "arguments.h"
#include "logit_table.h"

namespace iouloss {

struct LogitArguments {
  LogitFormula formula;
  bool float64;
  int64_t n;        // number of logits
  int64_t classes;  // logits in a row
  Values logits;
  Values targets;       // either dense targets, one per logit,
  Indices class_index;  // or class indices, one per row; an entropy has neither
  Values scores;        // with class indices: the target of each row's class; if there are none, 1
  int64_t ignore_index;
  bool ignores_targets;  // whether dense targets that equal ignore_index are left out
  Values weight;         // one per logit, or one per row
  bool weight_per_row;
  Values alpha_per_class, balance;  // one per class
  double alpha1, alpha0;            // factors of the losses of target 1 and of target 0
  bool complement;  // alpha_per_class multiplies alpha1; if this is set, 1 - alpha_per_class multiplies alpha0
  LogitOptions<double> options;
};

}  // namespace iouloss
