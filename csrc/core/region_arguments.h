// What the kernels of the shape "regions" are told.
#pragma once

#include "arguments.h"

namespace iouloss {

enum class Activation : int { none, sigmoid, softmax };

// What has one loss: each class of each image, each class of the batch, each image, the batch.
enum class RegionPer : int { image_class, one_class, image, batch };

// Logits [images, classes, pixels]. The sums are those of each class of each image, a cell; regions are made of cells.
struct RegionArguments {
  bool float64;
  int64_t images, classes, pixels;
  Values logits;
  Values targets;       // one a logit, or
  Indices class_index;  // one a pixel
  int64_t ignore_index;
  Activation activation;
  bool squares;  // in the denominator
  RegionPer per;
  bool generalized;     // classes are weighted by the inverse squares of their targets
  Values weight;        // one a region
  Values class_weight;  // of the loss of a class; of the class's sums, where a region has several
  double alpha, beta, smooth_numerator, smooth_denominator, exponent;  // see RegionRule

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

// What a cell or a region has in all: what its probabilities and targets share, what the probabilities have beyond, and
// what they lack.
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
