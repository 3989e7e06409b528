// The arguments of the kernels of the shape "regions".
#pragma once

#include "arguments.h"
#include "region_table.h"

namespace iouloss {

enum class Activation : int { none, sigmoid, softmax };

// What a region consists of. Each region has one loss. It is one class of one image, one class of the whole batch, one
// image, or the whole batch.
enum class RegionPer : int { image_class, one_class, image, batch };

// Logits of shape [images, classes, pixels]. One class of one image is a cell. Sums are taken over each cell; a region
// consists of one or more cells.
struct RegionArguments {
  bool float64;
  int64_t images, classes, pixels;
  Values logits;
  Values targets;       // either dense targets, one per logit,
  Indices class_index;  // or class indices, one per pixel
  int64_t ignore_index;
  Activation activation;
  bool squares;  // whether the denominator sums squares: see SquareTerms
  RegionPer per;
  bool generalized;               // whether a class is weighted by the inverse square of the sum of its targets
  Values weight;                  // one per region
  Values class_weight;            // one per class; multiplies its loss or, where a region has several classes, its sums
  RegionOptions<double> options;  // Tversky's: see RegionRule
  double exponent;                // 1 / gamma, computed on the host

  constexpr int64_t cells() const { return images * classes; }
  constexpr int64_t regions() const {
    switch (per) {
      case RegionPer::image_class: return cells();
      case RegionPer::one_class: return classes;
      case RegionPer::image: return images;
      default: return 1;
    }
  }
};

// The sums over a cell or a region: overlap is what probabilities and targets share, extra is what the probabilities
// have beyond the targets, and missed is what they lack.
struct RegionSums {
  double overlap = 0, extra = 0, missed = 0;
};

// The cells of one region: first, first + step, ...
struct RegionCells {
  int64_t first, count, step;
};

IOULOSS_INLINE RegionCells cells_of(const RegionArguments& a, int64_t region) {
  switch (a.per) {
    case RegionPer::image_class: return {region, 1, 1};
    case RegionPer::one_class: return {region, a.images, a.classes};
    case RegionPer::image: return {region * a.classes, a.classes, 1};
    default: return {0, a.images * a.classes, 1};
  }
}

IOULOSS_INLINE int64_t region_of(const RegionArguments& a, int64_t image, int64_t of_class) {
  switch (a.per) {
    case RegionPer::image_class: return image * a.classes + of_class;
    case RegionPer::one_class: return of_class;
    case RegionPer::image: return image;
    default: return 0;
  }
}

}  // namespace iouloss
