// The shape "regions" on the GPU: each thread handles four neighbouring pixels of an image, in one class or in all.
// There are three kernels. The first leaves partial sums of each cell. The second computes from these the losses of the
// regions and the slopes of the cells. The third writes the gradient.
#pragma once

#include "../core/logit_formulas.h"
#include "../core/region_formulas.h"
#include "divide.cuh"
#include "memory.cuh"
#include "reduce.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

inline constexpr int pixels_of_warp = nvidia::warp * per_thread;
inline constexpr int pixels_of_block = 8 * threads * per_thread;

template <class T>
struct RegionTotals {
  T overlap, extra, missed;
};

template <class T>
struct RegionLaunch {
  RegionArguments a;
  bool vectors;        // logits and dense targets can be loaded four at a time
  bool index_vectors;  // class indices can be loaded two at a time
  bool plain_targets;  // targets are dense, and not integers
  int64_t chunks;      // into how many stretches a cell is cut; each leaves partial sums
  IndexDivision by_classes, by_chunks;
  Slopes<T>* slopes;         // [cells], where a gradient is wanted
  RegionTotals<T>* partial;  // [cells, chunks]
  RegionSums* sums;          // [cells]
  // [cells] or, if there are no images, [classes]: the factors of the sums where a region has several classes
  double* weights;

  // The slopes of a cell, times the upstream gradient of its region.
  __device__ __forceinline__ Slopes<T> slopes_of(int64_t image, int of_class, const Values& upstream) const {
    const T factor = load<T>(upstream, region_of(a, image, of_class));
    const Slopes<T> s = slopes[image * a.classes + of_class];
    return {factor * s.of_error, factor * s.of_target};
  }
};

// Up to four pixels of an image, from pixel `first` on.
template <class T>
struct Pixels {
  int64_t image, first;
  int count;             // how many exist
  unsigned dropped = 0;  // one bit for each pixel that does not count
  int labels[per_thread];

  __device__ __forceinline__ Pixels(const RegionLaunch<T>& l, int64_t image_, int64_t first_)
      : image(image_), first(first_) {
    const int64_t left = l.a.pixels - first;
    count = left < per_thread ? int(left) : per_thread;
    if (count < per_thread) [[unlikely]]
      dropped = (1u << per_thread) - (1u << count);
    if (l.a.class_index) load_labels(l);
  }

  // Loads the class of each pixel, -1 where it has none.
  __device__ __forceinline__ void load_labels(const RegionLaunch<T>& l) {
    const int64_t from = image * l.a.pixels + first;
    int64_t of_pixel[per_thread];
    if (l.index_vectors && count == per_thread) [[likely]] {
      const longlong2* index =
          reinterpret_cast<const longlong2*>(static_cast<const int64_t*>(l.a.class_index.data) + from);
      const longlong2 a = nvidia::load_constant(index), b = nvidia::load_constant(index + 1);
      of_pixel[0] = a.x, of_pixel[1] = a.y, of_pixel[2] = b.x, of_pixel[3] = b.y;
    } else {
      each_in_turn(count, int64_t(-1), of_pixel, [&](int k) { return l.a.class_index[from + k]; });
    }
#pragma unroll
    for (int k = 0; k < per_thread; ++k) {
      if (of_pixel[k] == l.a.ignore_index) dropped |= 1u << k;
      labels[k] = uint64_t(of_pixel[k]) < uint64_t(l.a.classes) ? int(of_pixel[k]) : -1;
    }
  }

  __device__ __forceinline__ bool counts(int k) const { return !(dropped >> k & 1); }
  __device__ __forceinline__ bool is_vector(const RegionLaunch<T>& l) const { return l.vectors && count == per_thread; }
  __device__ __forceinline__ int64_t at(const RegionLaunch<T>& l, int of_class) const {
    return (image * l.a.classes + of_class) * l.a.pixels + first;
  }

  __device__ __forceinline__ void load_row(const RegionLaunch<T>& l, const Values& values, int of_class,
                                           T (&out)[per_thread]) const {
    load_values(values.data, values.dtype, nvidia::opaque(at(l, of_class)), 1, 0, count, is_vector(l), out);
  }

  // With class indices, the target of a pixel that does not count is 0.
  __device__ __forceinline__ void load_targets(const RegionLaunch<T>& l, int of_class, T (&out)[per_thread]) const {
    if (l.plain_targets) {
      load_row(l, l.a.targets, of_class, out);
    } else if (l.a.class_index) {
#pragma unroll
      for (int k = 0; k < per_thread; ++k) out[k] = labels[k] == of_class && counts(k) ? T(1) : T(0);
    } else {
      each_in_turn(count, T(0), out, [&](int k) { return load_integer<T>(l.a.targets, at(l, of_class) + k); });
    }
  }

  __device__ __forceinline__ void store(const RegionLaunch<T>& l, const Output& out, int of_class,
                                        const T (&values)[per_thread]) const {
    store_values(out, at(l, of_class), 1, 0, count, is_vector(l), values);
  }
};

template <class Terms, class T>
__device__ __forceinline__ void add_terms(RegionTotals<T>& to, T p, T n, T g) {
  const RegionTerms<T> terms = Terms::terms(p, n, g);
  to.overlap += terms.overlap;
  to.extra += terms.extra;
  to.missed += terms.missed;
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
