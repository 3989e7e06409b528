// Computes the losses of the regions and the slopes of the cells from the sums of the cells. This happens between the
// two passes over the logits. It takes few numbers, so the instruction set does not matter.
#pragma once

#include <algorithm>
#include <vector>

#include "../core/region_formulas.h"
#include "convert.h"

namespace iouloss {

inline double value_at(const Values& values, int64_t i) {
  double value;
  load_values(values, i, 1, &value);
  return value;
}

inline void write_number(void* out, bool float64, int64_t i, double value) {
  if (float64)
    static_cast<double*>(out)[i] = value;
  else
    static_cast<float*>(out)[i] = float(value);
}

// For each class, the factor that multiplies the sums of its cells before they are added to those of the region.
inline std::vector<double> cell_weights(const RegionArguments& a, const std::vector<RegionSums>& cells,
                                        const RegionCells& region) {
  std::vector<double> weights(a.classes, 1);
  if (a.generalized) {
    std::vector<double> targets(a.classes, 0);
    for (int64_t k = 0, cell = region.first; k < region.count; ++k, cell += region.step)
      targets[cell % a.classes] += cells[cell].overlap + cells[cell].missed;
    double largest = 0;
    for (int64_t c = 0; c < a.classes; ++c) {
      weights[c] = inverse_square(targets[c]);
      const bool is_out = a.class_weight.data && value_at(a.class_weight, c) == 0;
      if (!is_out) largest = std::max(largest, weights[c]);
    }
    for (double& weight : weights)
      if (weight == 0) weight = largest;
  }
  if (a.class_weight.data && a.per >= RegionPer::image)
    for (int64_t c = 0; c < a.classes; ++c) weights[c] *= value_at(a.class_weight, c);
  return weights;
}

// Writes the losses, and the slopes times `scale` (two numbers per cell). What has a null pointer is not written.
// Returns the sum of the losses.
inline double write_region_values(const RegionArguments& a, const std::vector<RegionSums>& cells, void* losses,
                                  void* slopes, double scale) {
  const RegionRule rule(a);
  const bool several_classes = a.per >= RegionPer::image, weighted = a.class_weight.data;
  double total = 0;
  for (int64_t region = 0; region < a.regions(); ++region) {
    const RegionCells own = cells_of(a, region);
    const std::vector<double> weights = several_classes ? cell_weights(a, cells, own) : std::vector<double>{1};
    const auto weight_of = [&](int64_t cell) { return several_classes ? weights[cell % a.classes] : 1; };
    RegionSums sums;
    for (int64_t k = 0, cell = own.first; k < own.count; ++k, cell += own.step) add(sums, cells[cell], weight_of(cell));
    RegionLoss loss = evaluate(sums, rule);
    double factor = weighted && !several_classes ? value_at(a.class_weight, region % a.classes) : 1;
    if (a.weight.data) factor *= value_at(a.weight, region);
    total += loss.value * factor;
    if (losses) write_number(losses, a.float64, region, loss.value * factor);
    if (!slopes) continue;
    factor *= scale;
    for (int64_t k = 0, cell = own.first; k < own.count; ++k, cell += own.step) {
      write_number(slopes, a.float64, 2 * cell, factor * (weight_of(cell) * loss.of_error));
      write_number(slopes, a.float64, 2 * cell + 1, factor * (weight_of(cell) * loss.of_target));
    }
  }
  return total;
}

// Multiplies the slopes of each cell by the upstream gradient of its region.
inline void scale_slopes(const RegionArguments& a, const Values& upstream, const void* slopes, void* scaled) {
  const Values from{slopes, a.float64 ? Dtype::float64 : Dtype::float32, 1};
  for (int64_t image = 0; image < a.images; ++image)
    for (int64_t c = 0; c < a.classes; ++c) {
      const double factor = value_at(upstream, region_of(a, image, c));
      const int64_t first = 2 * (image * a.classes + c);
      for (int64_t i = first; i < first + 2; ++i) write_number(scaled, a.float64, i, factor * value_at(from, i));
    }
}

}  // namespace iouloss
