// Regions whose classes share the probability of a pixel (softmax). A thread goes through all classes of four pixels. A
// warp writes the sums of its pixels. Logits are read several times; all but the first reads come from the cache.
#pragma once

#include "regions.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// The likeliest class of each pixel, and the two numbers that turn the pixel's logits into probabilities. No registers
// are left for what concerns the likeliest class alone, top() and n_of_top(). So these are in shared memory, where each
// thread has slots of its own.
template <class T>
struct Softmax {
  T largest[per_thread], inverse[per_thread];

  static __device__ __forceinline__ int& top(int k) {
    __shared__ int of_thread[per_thread][threads];
    return of_thread[k][threadIdx.x];
  }
  static __device__ __forceinline__ T& n_of_top(int k) {
    __shared__ T of_thread[per_thread][threads];
    return of_thread[k][threadIdx.x];
  }

  __device__ __forceinline__ Softmax(const RegionLaunch<T>& l, const Pixels<T>& pixels) {
    T rest[per_thread];  // the sum of the exponentials, without that of the largest logit
    pixels.load_row(l, l.a.logits, 0, largest);
#pragma unroll
    for (int k = 0; k < per_thread; ++k) rest[k] = T(0), top(k) = 0;
#pragma unroll 1  // else the compiler loads several classes at a time, which takes registers
    for (int c = 1; c < l.a.classes; ++c) {
      T x[per_thread];
      pixels.load_row(l, l.a.logits, c, x);
#pragma unroll
      for (int k = 0; k < per_thread; ++k) {
        const T d = x[k] - largest[k];
        const bool larger = d > T(0);
        const T e = exponential(larger ? -d : d);
        rest[k] = larger ? (rest[k] + T(1)) * e : rest[k] + e;
        if (larger) largest[k] = x[k], top(k) = c;
      }
    }
#pragma unroll
    for (int k = 0; k < per_thread; ++k) {
      inverse[k] = reciprocal(T(1) + rest[k]) + (largest[k] - largest[k]);  // NaN if the largest is infinite
      n_of_top(k) = rest[k] * inverse[k];
    }
  }

  __device__ __forceinline__ T p(int k, T x) const { return exponential(x - largest[k]) * inverse[k]; }
  __device__ __forceinline__ T n(int k, int of_class, T p) const { return of_class == top(k) ? n_of_top(k) : T(1) - p; }
};

// Calls f(chunk, pixels) for the pixels of a thread. All threads of a warp call it together, for the same chunk.
template <class T, class F>
__device__ __forceinline__ void each_of_warp(const RegionLaunch<T>& l, F f) {
  const int64_t warps = int64_t(gridDim.x) * (threads / nvidia::warp);
  for (int64_t i = int64_t(blockIdx.x) * (threads / nvidia::warp) + nvidia::warp_of_block(); i < l.a.images * l.chunks;
       i += warps) {
    const int64_t image = l.by_chunks.quotient(i), chunk = i - image * l.chunks;
    const int64_t first = chunk * pixels_of_warp + nvidia::lane() * per_thread;
    f(chunk, Pixels<T>(l, image, first < l.a.pixels ? first : l.a.pixels));
  }
}

template <class Terms, class T>
__global__ void __launch_bounds__(threads, resident_blocks<Registers::several, T>)
    softmax_region_sums(const RegionLaunch<T> l) {
  each_of_warp(l, [&](int64_t chunk, const Pixels<T>& pixels) {
    const Softmax<T> softmax(l, pixels);
#pragma unroll 1
    for (int c = 0; c < l.a.classes; ++c) {
      T x[per_thread], g[per_thread];
      pixels.load_row(l, l.a.logits, c, x);
      pixels.load_targets(l, c, g);
      RegionTotals<T> total{};
#pragma unroll
      for (int k = 0; k < per_thread; ++k) {
        const T p = softmax.p(k, x[k]), n = softmax.n(k, c, p);
        add_terms<Terms>(total, pixels.counts(k) ? p : T(0), pixels.counts(k) ? n : T(0), g[k]);
      }
      total = {warp_sum(total.overlap), warp_sum(total.extra), warp_sum(total.missed)};
      if (nvidia::lane() == 0) l.partial[(pixels.image * l.a.classes + c) * l.chunks + chunk] = total;
    }
  });
}

// dL/dx_c = p_c (h_c - sum of p_k h_k), where h_k is the derivative with respect to p_k. The h of the likeliest class
// is first subtracted from every h. That does not change the gradient, but where one class has nearly all of the
// probability, nothing cancels any more.
template <class Terms, class T>
__global__ void __launch_bounds__(threads, resident_blocks<Registers::several, T>)
    softmax_region_gradient(const RegionLaunch<T> l, const Gradient grad) {
  each_of_warp(l, [&](int64_t, const Pixels<T>& pixels) {
    if (pixels.count <= 0) return;
    const Softmax<T> softmax(l, pixels);
    T of_top[per_thread], mean[per_thread], integers[per_thread];
    if (!l.a.class_index && !l.plain_targets)
      each_in_turn(pixels.count, T(0), integers,
                   [&](int k) { return load_integer<T>(l.a.targets, pixels.at(l, softmax.top(k)) + k); });
    // Calls f(k, probability, h minus the h of the likeliest class) for each pixel k, in class c.
    const auto each = [&](int c, auto f) {
      T x[per_thread], g[per_thread];
      pixels.load_row(l, l.a.logits, c, x);
      pixels.load_targets(l, c, g);
      const Slopes<T> s = l.slopes_of(pixels.image, c, grad.upstream);
#pragma unroll
      for (int k = 0; k < per_thread; ++k) {
        const T p = softmax.p(k, x[k]);
        f(k, p, Terms::slope(p, softmax.n(k, c, p), g[k], s.of_error, s.of_target) - of_top[k]);
      }
    };
#pragma unroll
    for (int k = 0; k < per_thread; ++k) {
      const int c = softmax.top(k);
      const Slopes<T> s = l.slopes_of(pixels.image, c, grad.upstream);
      T g = T(0);
      if (l.a.class_index)
        g = pixels.labels[k] == c ? T(1) : T(0);
      else if (!l.plain_targets)
        g = integers[k];
      else if (k < pixels.count)
        g = load<T>(l.a.targets.data, l.a.targets.dtype, pixels.at(l, c) + k);
      of_top[k] = Terms::slope(softmax.inverse[k], softmax.n_of_top(k), g, s.of_error, s.of_target);
      mean[k] = T(0);
    }
#pragma unroll 1
    for (int c = 0; c < l.a.classes; ++c) each(c, [&](int k, T p, T h) { mean[k] = mul_add(p, h, mean[k]); });
#pragma unroll 1
    for (int c = 0; c < l.a.classes; ++c) {
      T out[per_thread];
      each(c, [&](int k, T p, T h) { out[k] = pixels.counts(k) ? p * (h - mean[k]) : T(0); });
      pixels.store(l, grad.out, c, out);
    }
  });
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
