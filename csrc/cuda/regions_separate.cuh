// Regions in which each logit gives a probability by itself, or is one. A block handles a stretch of a cell.
#pragma once

#include "regions.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// A stretch of pixels of one class of one image. Consecutive blocks take the same pixels in different classes, so that
// they share the class indices of these pixels in the cache.
struct Stretch {
  int64_t image, chunk;
  int of_class;
  template <class T>
  __device__ __forceinline__ Stretch(const RegionLaunch<T>& l, int64_t i) {
    const int64_t j = l.by_classes.quotient(i);
    of_class = int(i - j * l.a.classes);
    image = l.by_chunks.quotient(j);
    chunk = j - image * l.chunks;
  }
};

template <class T>
struct Separate {
  T p, n, of_logit;  // the probability, its complement, and the derivative of the probability with respect to the logit

  __device__ __forceinline__ Separate(const RegionArguments& a, T x) {
    if (a.activation == Activation::none) {
      p = x, n = T(1) - x, of_logit = T(1);
    } else {
      const Sigmoid<T> s(x);
      p = s.p, n = s.n, of_logit = s.p * s.n;
    }
  }
};

// Calls f(pixels) for the pixels of a stretch that this thread handles.
template <class T, class F>
__device__ __forceinline__ void each_of_stretch(const RegionLaunch<T>& l, const Stretch& s, F f) {
  const int64_t first = s.chunk * pixels_of_block, end = first + pixels_of_block;
#pragma unroll 1
  for (int64_t i = first + threadIdx.x * per_thread; i < end && i < l.a.pixels; i += threads * per_thread)
    f(Pixels<T>(l, s.image, nvidia::opaque(i)));
}

template <class Terms, class T>
__global__ void __launch_bounds__(threads, resident_blocks<Registers::item, T>) region_sums(const RegionLaunch<T> l) {
  for (int64_t i = blockIdx.x; i < l.a.cells() * l.chunks; i += gridDim.x) {
    const Stretch s(l, i);
    RegionTotals<T> total{};
    each_of_stretch(l, s, [&](const Pixels<T>& pixels) {
      T x[per_thread], g[per_thread];
      pixels.load_row(l, l.a.logits, s.of_class, x);
      pixels.load_targets(l, s.of_class, g);
#pragma unroll
      for (int k = 0; k < per_thread; ++k) {
        const Separate<T> at(l.a, x[k]);
        add_terms<Terms>(total, pixels.counts(k) ? at.p : T(0), pixels.counts(k) ? at.n : T(0), g[k]);
      }
    });
    total = {block_sum(total.overlap), block_sum(total.extra), block_sum(total.missed)};
    if (threadIdx.x == 0) l.partial[(s.image * l.a.classes + s.of_class) * l.chunks + s.chunk] = total;
  }
}

template <class Terms, class T>
__global__ void __launch_bounds__(threads, resident_blocks<Registers::item, T>)
    region_gradient(const RegionLaunch<T> l, const Gradient grad) {
  for (int64_t i = blockIdx.x; i < l.a.cells() * l.chunks; i += gridDim.x) {
    const Stretch s(l, i);
    const Slopes<T> slopes = l.slopes_of(s.image, s.of_class, grad.upstream);
    each_of_stretch(l, s, [&](const Pixels<T>& pixels) {
      T x[per_thread], g[per_thread];
      pixels.load_row(l, l.a.logits, s.of_class, x);
      pixels.load_targets(l, s.of_class, g);
#pragma unroll
      for (int k = 0; k < per_thread; ++k) {
        const Separate<T> at(l.a, x[k]);
        const T slope = at.of_logit * Terms::slope(at.p, at.n, g[k], slopes.of_error, slopes.of_target);
        x[k] = pixels.counts(k) ? slope : T(0);
      }
      pixels.store(l, grad.out, s.of_class, x);
    });
  }
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
